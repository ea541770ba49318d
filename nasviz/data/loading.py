"""From the name of a data set to its facts and its examples."""

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
    """A data set whose facts are known; its examples are read when they are asked for."""

    name: str
    facts: DataFacts
    folder: Path | None
    own: OwnData | None = None
    """Of a callable: what it returned."""

    def split(self, image_shape: tuple[int, ...]) -> DataSplit:
        """Training and validation examples, as a network that reads `image_shape` takes them.

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
    """Find out what a data set is. A callable, `package.module:callable`, is called: its code is run.

    Args:
        name: Of the catalog, or a callable of the user's own Python.
        folder: Where the data lie; not needed for digits, which are part of scikit-learn.
        trust: Folders that Python may be imported from: only for a callable.
        image_shape: (C, H, W) that the network reads, where that was asked for; a callable may want it.
        seed: Of the run; likewise.

    Raises:
        UnknownNameError: No data set has this name; the message lists the nearest.
        InvalidSettingError: The callable is not there, or fails.
        DataError: The data are missing, or laid out differently.
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
    """What the data set is, without opening it.

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
    """Training and validation examples of a data set.

    Args:
        name: Of the catalog, or a callable of the user's own Python.
        image_shape: (C, H, W) that the network reads; batches come out with it.
        folder: Where the data lie; not needed for digits, which are part of scikit-learn.
        trust: Folders that Python may be imported from: only for a callable.
        seed: Offered to a callable; the split of all others is fixed.

    Raises:
        UnknownNameError: No data set has this name.
        InvalidSettingError: A callable is not there, or fails.
        DataError: The data are missing or damaged, or cannot be brought to this shape.
    """
    return open_data(name, folder=folder, trust=trust, image_shape=image_shape, seed=seed).split(image_shape)
