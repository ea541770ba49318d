"""Files on which a result depends: it is kept under their sums."""

from __future__ import annotations

from pathlib import Path

from nasviz.catalog import DataFacts, NetworkSource
from nasviz.errors import WeightsError
from nasviz.guarded_files import exists, require_real_folder, require_regular
from nasviz.jobs.cache import key_of

__all__ = ["files_of", "key_of_network", "saved_files"]

LARGEST_WEIGHTS = 16 * 2**30


def saved_files(folder: Path | str) -> list[str]:
    """Files that decide what a saved sub-network is.

    Raises:
        WeightsError: They are gone.
        UnsafeFileError: The folder or one of them is a link, or no regular file.
    """
    folder = Path(folder)
    folder = folder.parent.resolve() / folder.name
    if exists(folder):
        require_real_folder(folder)
    paths = [folder / name for name in ("graph.json", "weights.safetensors")]
    for path in (*paths, folder / "report.json", folder / "model.py"):
        if exists(path):
            require_regular(path)
    if exists(folder / "model.py") and not exists(paths[0]):
        raise WeightsError(
            "the sub-network holds modules of a third party, which are imported by name and cannot be read"
            f" back as data: its Python source and weights lie in {folder}"
        )
    if lost := [path.name for path in paths if not exists(path)]:
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


def key_of_network(source: NetworkSource, facts: DataFacts | None = None) -> str:
    """One name for a network as it is built for some data, or for none.

    Raises:
        WeightsError: Files that decide what it is are gone, or too large.

    Examples:
        >>> from nasviz.catalog import FACTS
        >>> demonet = NetworkSource("demonet")  # ten classes, as many as there are digits
        >>> key_of_network(demonet) == key_of_network(demonet, FACTS["digits"])
        True
    """
    entry = source.entry
    own = entry.num_classes if entry is not None else 0
    classes = source.num_classes or (facts.num_classes if facts is not None else 0) or own
    kind = "text" if entry is not None and entry.family == "text" else "images"
    wanted = {"source": source.to_json(), "classes": classes, "kind": facts.kind if facts else kind}
    return key_of("network", wanted, files_of(source))
