"""scikit-learn's handwritten digits: 1,797 real images of 8x8 pixels that come with the package.

The split is stratified by class, 80 % to 20 %, and fixed: it does not depend on the seed of a run, so that
all runs are judged by the same images.
"""

from __future__ import annotations

import torch

from nasviz.catalog import FACTS
from nasviz.data.images import DataSplit, ImageSet, check_image_shape

__all__ = ["load_digits_split"]

_SPLIT_SEED = 0
_WHITE = 16.0


def load_digits_split(image_shape: tuple[int, ...]) -> DataSplit:
    """Training and validation images, which come out with `image_shape`."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    facts = FACTS["digits"]
    shape = check_image_shape(image_shape, facts.channels)
    digits = load_digits()
    images = torch.from_numpy(digits.images).to(torch.uint8).unsqueeze(1)  # (1797, 1, 8, 8)
    labels = torch.from_numpy(digits.target).to(torch.int64)
    train, validation = train_test_split(
        range(len(labels)), test_size=facts.num_validation, stratify=digits.target, random_state=_SPLIT_SEED
    )
    scaled = images[train].to(torch.float64) / _WHITE
    mean, std = float(scaled.mean()), float(scaled.std(correction=0))

    def subset(indices: list[int]) -> ImageSet:
        return ImageSet(images[indices], labels[indices], mean, std, _WHITE, shape)

    return DataSplit(facts, subset(train), subset(validation))
