"""Trained weights: names under which they are published, and the files of a set on disk. Reads no tensor."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePath
from typing import Any

from nasviz.errors import WeightsError

__all__ = ["LARGEST_WEIGHTS", "is_published", "network_of", "read_object", "weight_files"]

_PUBLISHED = {
    "timm": re.compile(r"timm:([A-Za-z0-9_]{1,100})(\.[A-Za-z0-9_]{1,100})?"),
    "torchvision": re.compile(r"torchvision:([a-z0-9_]{1,64}):([A-Za-z0-9_]{1,64})"),
    "hf": re.compile(r"hf:[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII),
}
LARGEST_WEIGHTS = 16 * 2**30
"""Largest total size in bytes of the files of a set of weights."""
_LARGEST_INDEX = 16 * 2**20
_IN_A_FOLDER = (
    "model.safetensors",
    "model.safetensors.index.json",
    "weights.safetensors",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def is_published(name: str) -> bool:
    """Return whether a text names published weights: `timm:NAME`, `torchvision:NAME:WEIGHTS`, `hf:ORG/NAME`.

    Examples:
        >>> is_published("timm:resnet18.a1_in1k"), is_published("hf:microsoft/resnet-18")
        (True, True)
        >>> is_published("weights.pt"), is_published("nets:resnet18")
        (False, False)
    """
    pattern = _PUBLISHED.get(name.partition(":")[0])
    return pattern is not None and pattern.fullmatch(name) is not None


def network_of(published: str) -> str:
    """Return the name of the network that published weights belong to.

    Examples:
        >>> network_of("timm:resnet18.a1_in1k"), network_of("torchvision:resnet18:IMAGENET1K_V1")
        ('timm.resnet18', 'resnet18')
        >>> network_of("hf:microsoft/resnet-18")
        'hf:microsoft/resnet-18'
    """
    kind, _, rest = published.partition(":")
    if kind == "timm":
        return f"timm.{rest.partition('.')[0]}"
    return rest.partition(":")[0] if kind == "torchvision" else published


def weight_files(path: str | Path) -> list[Path]:
    """Return the files of weights: the file itself; an index and its shards; or those in a folder.

    Raises:
        WeightsError: There is none, they are too large, or the index is malformed or names a file outside
            its folder.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        if (file / ".metadata").is_file():
            raise WeightsError(
                f"{file.name} is a checkpoint of torch.distributed, whose metadata is a pickle that can"
                " run code; convert it with python -m torch.distributed.checkpoint.format_utils dcp_to_torch"
                f" {file.name} weights.pt"
            )
        found = next((file / name for name in _IN_A_FOLDER if (file / name).is_file()), None)
        if found is None:
            raise WeightsError(f"the folder {file.name} holds none of {', '.join(_IN_A_FOLDER)}")
        file = found
    if not file.is_file():
        raise WeightsError(f"there is no file of weights at {ascii(str(file))[1:-1]}; choose one again")
    files = [file, *_shards(file)] if file.name.endswith(".index.json") else [file]
    if (size := sum(part.stat().st_size for part in files)) > LARGEST_WEIGHTS:
        raise WeightsError(
            f"{ascii(file.name)[1:-1][:80]} has {size:,} bytes; at most {LARGEST_WEIGHTS:,} are read"
        )
    return files


def read_object(file: Path, largest: int) -> dict[str, Any]:
    """Return the JSON object in a file of others.

    Raises:
        WeightsError: It holds something else, or more than `largest` bytes.
    """
    try:
        if (size := file.stat().st_size) > largest:
            raise WeightsError(f"{file.name} has {size:,} bytes; at most {largest:,} are read")
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:  # deep nesting exhausts the stack
        raise WeightsError(f"{file.name} cannot be read as JSON ({type(error).__name__})") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{file.name} must hold a JSON object; it holds a {type(content).__name__}")
    return content


def _shards(index: Path) -> list[Path]:
    places = read_object(index, _LARGEST_INDEX).get("weight_map")
    names = sorted(set(map(str, places.values()))) if isinstance(places, dict) else []
    if not names:
        raise WeightsError(f"{index.name} is no index of sharded weights: its weight_map names no file")
    for name in names:
        is_plain = PurePath(name).name == name and "\\" not in name
        if not is_plain or not (index.parent / name).is_file():
            raise WeightsError(
                f"{index.name} names the shard {ascii(name)[:80]}, which is not a file beside it"
            )
    return [index.parent / name for name in names]
