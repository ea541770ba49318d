"""Validation of labels: integers from 0 to the last class, with more than one class.

Labels are checked on the host, once if all are in memory, else batch by batch: on a CUDA device, a label
beyond the last class is an assertion that kills the process.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from nasviz.data.folders import FolderSet
from nasviz.data.images import DataSplit, Images, ImageSet
from nasviz.data.own import OwnSet, check_labels
from nasviz.errors import DataError

__all__ = ["require_labels"]


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
