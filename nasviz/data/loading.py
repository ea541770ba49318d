"""From the name of a data set to its facts and its images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nasviz.catalog import FACTS, DataFacts, find
from nasviz.data.digits import load_digits_split
from nasviz.data.images import DataSplit

__all__ = ["facts", "load"]

Loader = Callable[[tuple[int, ...], Path | None, int], DataSplit]

_LOADERS: dict[str, Loader] = {"digits": lambda image_shape, folder, seed: load_digits_split(image_shape)}


def facts(name: str) -> DataFacts:
    """What the data set is, without opening it.

    Raises:
        UnknownNameError: No data set has this name; the message lists the nearest.

    Examples:
        >>> facts("digits").num_classes
        10
    """
    return FACTS[find("data", name).name]


def load(
    name: str, *, image_shape: tuple[int, ...], folder: str | Path | None = None, seed: int = 0
) -> DataSplit:
    """Training and validation images of a data set.

    Args:
        name: Of the data set.
        image_shape: (C, H, W) that the network reads; batches come out with it.
        folder: Where the data lie; not needed for digits, which are part of scikit-learn.
        seed: For data without a fixed split; the split of digits is always the same.

    Raises:
        UnknownNameError: No data set has this name.
        DataError: The images cannot be brought to this shape.
    """
    loader = _LOADERS[find("data", name).name]
    return loader(image_shape, None if folder is None else Path(folder), seed)
