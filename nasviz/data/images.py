"""Images as they are stored, brought to a network's input batch by batch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from nasviz.catalog import DataFacts
from nasviz.errors import DataError

__all__ = ["DataSplit", "ImageSet", "check_image_shape"]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images, small in memory: resized, normalised and spread over channels per batch only.

    Examples:
        >>> images = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
        >>> shown = ImageSet(
        ...     images, torch.arange(3), mean=0.0, std=1.0, largest=16.0, image_shape=(3, 28, 28)
        ... )
        >>> shown.batch(torch.tensor([0, 2]))[0].shape
        torch.Size([2, 3, 28, 28])
    """

    images: Tensor
    """As stored: `(num, channels, size, size)`, uint8."""
    labels: Tensor
    """`(num,)`, int64."""
    mean: float
    std: float
    """Of the training images, scaled to [0, 1]."""
    largest: float
    """The stored value that stands for white."""
    image_shape: tuple[int, int, int]
    """(C, H, W) of what `batch` returns."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def device(self) -> torch.device:
        """Where the images lie, and so where batches come out."""
        return self.images.device

    def to(self, device: torch.device | str) -> ImageSet:
        """The same set on another device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Images `(B, C, H, W)`, float32 with mean 0 and variance 1 over the training set, and their labels.

        Bilinear to the height and width asked for; a grey image is repeated over the channels.
        """
        indices = indices.to(self.device)
        channels, height, width = self.image_shape
        images = self.images[indices].to(torch.float32) / self.largest
        images = (images - self.mean) / self.std
        if images.shape[-2:] != (height, width):
            images = functional.interpolate(
                images, size=(height, width), mode="bilinear", align_corners=False, antialias=True
            )
        if images.shape[1] != channels:
            images = images.expand(-1, channels, -1, -1).contiguous()
        return images, self.labels[indices]


@dataclass(frozen=True, eq=False)
class DataSplit:
    """The images to learn from, and those to judge by; the same split for every run."""

    facts: DataFacts
    train: ImageSet
    validation: ImageSet

    def to(self, device: torch.device | str) -> DataSplit:
        """The same split on another device."""
        return replace(self, train=self.train.to(device), validation=self.validation.to(device))


def check_image_shape(image_shape: tuple[int, ...], channels: int) -> tuple[int, int, int]:
    """The shape itself, where images of that many channels can be brought to it.

    Raises:
        DataError: It is not (C, H, W), or colours would have to be merged.
    """
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise DataError(f"images are made of (channels, height, width); a network asks for {image_shape}")
    if channels not in (1, image_shape[0]):
        raise DataError(
            f"the network reads {image_shape[0]} channels and the images have {channels}; give the network an"
            f" input of {channels} channels"
        )
    return image_shape[0], image_shape[1], image_shape[2]
