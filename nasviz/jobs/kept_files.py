"""Files on which a result depends: it is kept under their sums."""

from __future__ import annotations

from pathlib import Path

from nasviz.catalog import NetworkSource
from nasviz.errors import WeightsError

__all__ = ["files_of", "saved_files"]

LARGEST_WEIGHTS = 16 * 2**30


def saved_files(folder: Path | str) -> list[str]:
    """Files that decide what a saved sub-network is.

    Raises:
        WeightsError: They are gone.
    """
    paths = [Path(folder) / name for name in ("graph.json", "weights.safetensors")]
    if (Path(folder) / "model.py").is_file() and not paths[0].is_file():
        raise WeightsError(
            "the sub-network holds modules of a third party, which are imported by name and cannot be read"
            f" back as data: its Python source and weights lie in {folder}"
        )
    if lost := [path.name for path in paths if not path.is_file()]:
        raise WeightsError(
            f"no {' and '.join(lost)} in {folder}: the sub-network was deleted; construct it again"
        )
    return [str(path) for path in paths]


def files_of(source: NetworkSource) -> list[str]:
    """Files that decide what the network is.

    Raises:
        WeightsError: They are gone, or too large.
    """
    if source.subnet is not None:
        return saved_files(source.subnet)
    if source.weights is None:
        return []
    if not Path(source.weights).is_file():
        raise WeightsError(f"no file of weights at {source.weights}; choose one again")
    if (size := Path(source.weights).stat().st_size) > LARGEST_WEIGHTS:
        # Said here, because a sum of the file is the name of its result: it would be read to the end.
        name = ascii(Path(source.weights).name)[1:-1][:80]
        raise WeightsError(f"{name} is {size:,} bytes; at most {LARGEST_WEIGHTS:,} are read")
    return [source.weights]
