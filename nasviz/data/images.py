"""Images as they are stored, brought to a network's input batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from nasviz.catalog import DataFacts
from nasviz.errors import DataError

__all__ = ["Box", "Crop", "DataSplit", "ImageSet", "Images", "check_image_shape", "resize"]

Box = tuple[int, int, int, int]
"""Top, left, height and width of a part of an image, pixels."""
Crop = Callable[[int, int, int], Box]
"""From index, height and width of an image to the part of it that is taken."""
Self = TypeVar("Self", bound="Images")


class Images(Protocol):
    """Labelled examples that come out batch by batch; each depends on its index alone."""

    @property
    def device(self) -> torch.device:
        """Where batches come out."""

    def __len__(self) -> int: ...

    def to(self: Self, device: torch.device | str) -> Self:
        """The same on another device, or as it is where it is read from files."""

    def batch(self, indices: Tensor, crop: Crop | None = None) -> tuple[Tensor, Tensor]:
        """Examples `(B, ...)` and their labels; of images the parts that `crop` chooses."""

    def black(self) -> Tensor | float:
        """What a black pixel looks like in a batch, `(C, 1, 1)` or a number."""

    def in_epoch(self: Self, seed: int, epoch: int) -> Self:
        """The set as it is in this epoch: another one only where the examples vary by themselves."""


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
    mean: float | tuple[float, ...]
    std: float | tuple[float, ...]
    """Of the training images, scaled to [0, 1]; of each channel, or of all together."""
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

    def in_epoch(self, seed: int, epoch: int) -> ImageSet:
        """The set itself: its images never vary."""
        return self

    def black(self) -> Tensor | float:
        """What a black pixel looks like in a batch."""
        return self._normalised(torch.zeros((), device=self.device))

    def batch(self, indices: Tensor, crop: Crop | None = None) -> tuple[Tensor, Tensor]:
        """Images `(B, C, H, W)`, float32 with mean 0 and variance 1 over the training set, and their labels.

        Bilinear to the height and width asked for; a grey image is repeated over the channels.
        """
        chosen = indices.to(self.device)
        channels, *size = self.image_shape
        stored = self.images[chosen].to(torch.float32)
        images = self._normalised(stored / self.largest)
        if crop is not None:
            images = torch.cat([_part(x, crop, int(i), size) for x, i in zip(images, indices, strict=True)])
        elif list(images.shape[-2:]) != size:
            images = resize(images, size)
        if images.shape[1] != channels:
            images = images.expand(-1, channels, -1, -1).contiguous()
        return images, self.labels[chosen]

    def _normalised(self, images: Tensor) -> Tensor:
        if isinstance(self.mean, tuple) or isinstance(self.std, tuple):
            mean = torch.tensor(self.mean, device=images.device).reshape(-1, 1, 1)
            return (images - mean) / torch.tensor(self.std, device=images.device).reshape(-1, 1, 1)
        return (images - self.mean) / self.std


def _part(image: Tensor, crop: Crop, index: int, size: list[int]) -> Tensor:
    top, left, height, width = crop(index, image.shape[-2], image.shape[-1])
    return resize(image[None, :, top : top + height, left : left + width], size)


def resize(images: Tensor, size: list[int]) -> Tensor:
    """Images `(B, C, h, w)` brought to height and width, bilinear; `(B, C, H, W)`."""
    return functional.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)


@dataclass(frozen=True, eq=False)
class DataSplit:
    """The examples to learn from, and those to judge by; the same split for every run."""

    facts: DataFacts
    train: Images
    validation: Images

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
