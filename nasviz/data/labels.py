"""Labels that a training can use: whole numbers from 0 to the last class, and more than one of them.

Checked on the host, once for a data set whose labels are at hand and batch by batch where items are made one
at a time: on a CUDA device a label beyond the last class is an assertion that ends the process.
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
    """Return `split` after its labels were checked; items that are made one at a time check their own.

    Args:
        split: Of examples with one class each.
        num_classes: Outputs of the network.
        name: Of the data, for messages.

    Raises:
        DataError: A label is no class of the network, or all training labels are the same.
    """
    for images in (split.train, split.validation):
        if (labels := _at_hand(images)) is not None:
            check_labels(labels, num_classes, name)
    train = _at_hand(split.train)
    if train is not None and len(train) > 1 and bool((train == train[0]).all()):
        raise DataError(
            f"all {len(train)} training examples of {name} are of class {int(train[0])}: there is nothing to"
            " tell apart; give examples of at least two classes"
        )
    return replace(
        split, train=_checking(split.train, num_classes), validation=_checking(split.validation, num_classes)
    )


def _at_hand(images: Images) -> Tensor | None:
    if isinstance(images, ImageSet):
        return images.labels.cpu()
    if isinstance(images, FolderSet):
        return torch.tensor([label for _, label in images.samples])
    return images.labels if isinstance(images, OwnSet) else None


def _checking(images: Images, num_classes: int) -> Images:
    return replace(images, num_classes=num_classes) if isinstance(images, OwnSet) else images
