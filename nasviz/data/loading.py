"""Facts and examples of a data set by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nasviz.catalog import CALLABLE, FACTS, IMAGE_FOLDER, DataFacts, find
from nasviz.data.digits import load_digits_split
from nasviz.data.folders import folder_facts, load_folder
from nasviz.data.images import DataSplit
from nasviz.data.own import OwnData, open_own, open_registered
from nasviz.data.published import load_published
from nasviz.data.text import load_penn_treebank, load_python_docs

__all__ = ["Opened", "facts", "load", "open_data"]


@dataclass(frozen=True, eq=False)
class Opened:
    """A data set with known facts; its examples are read on demand."""

    name: str
    facts: DataFacts
    folder: Path | None
    own: OwnData | None = None
    """Data returned by a callable."""

    def split(self, image_shape: tuple[int, ...]) -> DataSplit:
        """Return training and validation examples for a network that reads `image_shape`.

        Raises:
            DataError: They are missing or damaged, or do not fit.
        """
        if self.own is not None:
            return self.own.split(image_shape)
        if self.name == "digits":
            return load_digits_split(image_shape)
        if self.name == IMAGE_FOLDER:
            return load_folder(image_shape, self.folder)
        if self.name == "python_docs":
            return load_python_docs()
        if self.name == "penn_treebank":
            return load_penn_treebank(self.folder)
        return load_published(self.name, image_shape, self.folder)


def open_data(
    name: str,
    *,
    folder: str | Path | None = None,
    trust: Sequence[str] = (),
    image_shape: tuple[int, ...] | None = None,
    seed: int = 0,
) -> Opened:
    """Return a data set with its facts. A callable, `package.module:callable`, is called: its code is run.

    Args:
        name: A name in the catalog, or a callable in the user's own Python.
        folder: Folder of the data; not needed for digits, which are part of scikit-learn.
        trust: Folders that Python may be imported from, for a callable.
        image_shape: Shape (C, H, W) that the network reads, if known; passed to a callable that accepts it.
        seed: Seed of the run; passed to a callable that accepts it.

    Raises:
        UnknownNameError: No data set has this name; the message lists the nearest.
        InvalidSettingError: The callable does not exist, or fails.
        DataError: The data are missing, or have another layout.
    """
    place = None if folder is None else Path(folder)
    if CALLABLE.fullmatch(name):
        own = open_own(name, trust, folder=place, image_shape=image_shape, seed=seed)
        return Opened(name, own.facts, place, own)
    name = find("data", name).name
    if FACTS[name].loader is not None:
        own = open_registered(FACTS[name], folder=place, image_shape=image_shape, seed=seed)
        return Opened(name, own.facts, place, own)
    return Opened(name, folder_facts(place) if name == IMAGE_FOLDER else FACTS[name], place)


def facts(name: str) -> DataFacts:
    """Return the facts of a data set without opening it.

    Raises:
        UnknownNameError: No data set has this name; the message lists the nearest.

    Examples:
        >>> facts("digits").num_classes
        10
    """
    return FACTS[find("data", name).name]


def load(
    name: str,
    *,
    image_shape: tuple[int, ...],
    folder: str | Path | None = None,
    trust: Sequence[str] = (),
    seed: int = 0,
) -> DataSplit:
    """Return training and validation examples of a data set.

    Args:
        name: A name in the catalog, or a callable in the user's own Python.
        image_shape: Shape (C, H, W) that the network reads; batches have it.
        folder: Folder of the data; not needed for digits, which are part of scikit-learn.
        trust: Folders that Python may be imported from, for a callable.
        seed: Seed passed to a callable that accepts it; all other splits are fixed.

    Raises:
        UnknownNameError: No data set has this name.
        InvalidSettingError: A callable does not exist, or fails.
        DataError: The data are missing or damaged, or cannot be converted to this shape.
    """
    return open_data(name, folder=folder, trust=trust, image_shape=image_shape, seed=seed).split(image_shape)
