"""Facts and examples of a data set by name, with the check of their labels."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nasviz.catalog import CALLABLE, FACTS, IMAGE_FOLDER, DataFacts, find
from nasviz.data.folders import FolderSet, folder_facts, load_folder
from nasviz.data.images import DataSplit, Images, ImageSet, check_image_shape
from nasviz.data.own import OwnData, OwnSet, check_labels, open_own, open_registered
from nasviz.data.published import load_published
from nasviz.data.text import load_penn_treebank, load_python_docs
from nasviz.errors import DataError
from nasviz.extras import locate_package

__all__ = ["Opened", "facts", "load", "load_digits_split", "open_data", "require_labels"]


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


_SPLIT_SEED = 0
_WHITE = 16.0


def load_digits_split(image_shape: tuple[int, ...]) -> DataSplit:
    """Return training and validation images with shape `image_shape`."""
    facts = FACTS["digits"]
    shape = check_image_shape(image_shape, facts.channels)
    table = _read_table()  # 64 pixels and a label per row
    images = torch.from_numpy(table[:, :-1]).to(torch.uint8).reshape(-1, 1, 8, 8)
    labels = torch.from_numpy(table[:, -1]).to(torch.int64)
    train, validation = _stratified_split(table[:, -1], facts.num_validation)
    scaled = images[train].to(torch.float64) / _WHITE
    mean, std = float(scaled.mean()), float(scaled.std(correction=0))

    def subset(indices: list[int]) -> ImageSet:
        return ImageSet(images[indices], labels[indices], mean, std, _WHITE, shape)

    return DataSplit(facts, subset(train), subset(validation))


def _read_table() -> np.ndarray:
    place = locate_package("sklearn", "the data set digits")
    with gzip.open(place / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        return np.loadtxt(file, delimiter=",")


def _stratified_split(labels: np.ndarray, num_validation: int) -> tuple[list[int], list[int]]:
    """Return the indices that scikit-learn's `train_test_split` returns for `_SPLIT_SEED`.

    NumPy never changes the stream of `RandomState`, so the order of the draws below fixes the split: one
    choice of the classes that round up, one permutation per class, one of each part.
    """
    rng = np.random.RandomState(_SPLIT_SEED)
    classes, counts = np.unique(labels, return_counts=True)
    share = counts / len(labels) * (len(labels) - num_validation)
    num_train = np.floor(share).astype(int)
    rest = share - num_train
    while missing := len(labels) - num_validation - num_train.sum():
        (tied,) = np.where(rest == rest.max())
        chosen = rng.choice(tied, size=min(len(tied), missing), replace=False)
        num_train[chosen] += 1
        rest[tied] = -1.0
    train: list[int] = []
    validation: list[int] = []
    for name, count, length in zip(classes, counts, num_train, strict=True):
        order = np.flatnonzero(labels == name)[rng.permutation(count)]
        train.extend(order[:length])
        validation.extend(order[length:])
    return rng.permutation(train).tolist(), rng.permutation(validation).tolist()


def require_labels(split: DataSplit, num_classes: int, name: str) -> DataSplit:
    """Return `split` after a check of its labels; generated items are checked batch by batch.

    Args:
        split: Examples with one class each.
        num_classes: Number of outputs of the network.
        name: Name of the data set, for messages.

    Raises:
        DataError: A label is not a class of the network, or all training labels are equal.
    """
    for images in (split.train, split.validation):
        if (labels := _labels_in_memory(images)) is not None:
            check_labels(labels, num_classes, name)
    train = _labels_in_memory(split.train)
    if train is not None and len(train) > 1 and bool((train == train[0]).all()):
        raise DataError(
            f"all {len(train)} training examples of {name} are of class {int(train[0])}: there is nothing to"
            " learn; use examples of at least two classes"
        )
    return replace(
        split,
        train=_with_checks(split.train, num_classes),
        validation=_with_checks(split.validation, num_classes),
    )


def _labels_in_memory(images: Images) -> Tensor | None:
    if isinstance(images, ImageSet):
        return images.labels.cpu()
    if isinstance(images, FolderSet):
        return torch.tensor([label for _, label in images.samples])
    return images.labels if isinstance(images, OwnSet) else None


def _with_checks(images: Images, num_classes: int) -> Images:
    return replace(images, num_classes=num_classes) if isinstance(images, OwnSet) else images
