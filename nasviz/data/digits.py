"""scikit-learn's handwritten digits: 1,797 real images of 8x8 pixels that come with the package.

The split is stratified by class, 80 % to 20 %, and does not depend on the seed of a run, so that all runs are
evaluated on the same images.

The file is read without scikit-learn, whose import would cost every run two seconds of CPU time. A test
compares images, labels and split with scikit-learn's own.
"""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from nasviz.catalog import FACTS
from nasviz.data.images import DataSplit, ImageSet, check_image_shape
from nasviz.errors import DataError

__all__ = ["load_digits_split"]

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
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataError("The digits data set is read from scikit-learn, which is not installed.")
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as file:
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
