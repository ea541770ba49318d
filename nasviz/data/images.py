"""Stored images, converted to a network's input batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from nasviz.catalog import DataFacts
from nasviz.data.epochs import epoch_order
from nasviz.errors import DataError

__all__ = ["Box", "Crop", "DataSplit", "ImageSet", "Images", "Subset", "check_image_shape", "resize"]

Box = tuple[int, int, int, int]
"""Top, left, height and width of a crop in pixels."""
Crop = Callable[[int, int, int], Box]
"""Function from index, height and width of an image to its crop."""
Self = TypeVar("Self", bound="Images")


class Images(Protocol):
    """Labelled examples that are read in batches; each depends on its index alone."""

    @property
    def device(self) -> torch.device:
        """Device of the batches."""

    def __len__(self) -> int: ...

    def to(self: Self, device: torch.device | str) -> Self:
        """Return the set on another device, or itself if it is read from files."""

    def batch(self, indices: Tensor, crop: Crop | None = None) -> tuple[Any, Any]:
        """Return inputs, tensors `(B, ...)`, a tuple or a dict of them, and target; `crop` selects parts."""

    def black(self) -> Tensor | float:
        """Return the value of a black pixel in a batch, `(C, 1, 1)` or a number."""

    def in_epoch(self: Self, seed: int, epoch: int) -> Self:
        """Return the set in an epoch: itself, unless its examples change between epochs."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images in compact form: resized, normalized and expanded to channels batch by batch.

    Examples:
        >>> images = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
        >>> shown = ImageSet(
        ...     images, torch.arange(3), mean=0.0, std=1.0, largest=16.0, image_shape=(3, 28, 28)
        ... )
        >>> shown.batch(torch.tensor([0, 2]))[0].shape
        torch.Size([2, 3, 28, 28])
    """

    images: Tensor
    """Stored images `(num, channels, size, size)`, uint8."""
    labels: Tensor
    """Labels `(num,)`, int64."""
    mean: float | tuple[float, ...]
    std: float | tuple[float, ...]
    """Statistics of the training images scaled to [0, 1], per channel or for all channels."""
    largest: float
    """Stored value of white."""
    image_shape: tuple[int, int, int]
    """Shape (C, H, W) of the images that `batch` returns."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def device(self) -> torch.device:
        """Device of the images, and thus of batches."""
        return self.images.device

    def to(self, device: torch.device | str) -> ImageSet:
        """Return the set on another device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def in_epoch(self, seed: int, epoch: int) -> ImageSet:
        """Return the set itself: images do not change."""
        return self

    def black(self) -> Tensor | float:
        """Return the value of a black pixel in a batch."""
        return self._normalized(torch.zeros((), device=self.device))

    def batch(self, indices: Tensor, crop: Crop | None = None) -> tuple[Tensor, Tensor]:
        """Return images `(B, C, H, W)`, float32, normalized by the training statistics, and their labels.

        Images are resized bilinearly; a grey image is repeated over the channels.
        """
        chosen = indices.to(self.device)
        channels, *size = self.image_shape
        stored = self.images[chosen].to(torch.float32)
        images = self._normalized(stored / self.largest)
        if crop is not None:
            images = torch.cat([_part(x, crop, int(i), size) for x, i in zip(images, indices, strict=True)])
        elif list(images.shape[-2:]) != size:
            images = resize(images, size)
        if images.shape[1] != channels:
            images = images.expand(-1, channels, -1, -1).contiguous()
        return images, self.labels[chosen]

    def _normalized(self, images: Tensor) -> Tensor:
        if isinstance(self.mean, tuple) or isinstance(self.std, tuple):
            mean = torch.tensor(self.mean, device=images.device).reshape(-1, 1, 1)
            return (images - mean) / torch.tensor(self.std, device=images.device).reshape(-1, 1, 1)
        return (images - self.mean) / self.std


def _part(image: Tensor, crop: Crop, index: int, size: list[int]) -> Tensor:
    top, left, height, width = crop(index, image.shape[-2], image.shape[-1])
    return resize(image[None, :, top : top + height, left : left + width], size)


def resize(images: Tensor, size: list[int]) -> Tensor:
    """Resize images `(B, C, h, w)` bilinearly to `(B, C, H, W)`."""
    return functional.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)


@dataclass(frozen=True, eq=False)
class Subset:
    """Some examples of a set, by their indices in it."""

    images: Images
    indices: Tensor

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def device(self) -> torch.device:
        """Device of batches."""
        return self.images.device

    def to(self, device: torch.device | str) -> Subset:
        """Return the subset on another device."""
        return replace(self, images=self.images.to(device))

    def in_epoch(self, seed: int, epoch: int) -> Subset:
        """Return the subset in an epoch."""
        return replace(self, images=self.images.in_epoch(seed, epoch))

    def black(self) -> Tensor | float:
        """Return the value of a black pixel in a batch."""
        return self.images.black()

    def batch(self, indices: Tensor, crop: Crop | None = None) -> tuple[Any, Any]:
        """Return inputs and target, as the whole set does; indices are those in the subset."""
        chosen = self.indices[indices.cpu()]
        if crop is None:
            return self.images.batch(chosen)
        places = dict(zip(chosen.tolist(), indices.tolist(), strict=True))
        return self.images.batch(chosen, lambda index, *size: crop(places[index], *size))


@dataclass(frozen=True, eq=False)
class DataSplit:
    """Training and validation examples; the same split for every run."""

    facts: DataFacts
    train: Images
    validation: Images

    def to(self, device: torch.device | str) -> DataSplit:
        """Return the split on another device."""
        return replace(self, train=self.train.to(device), validation=self.validation.to(device))

    def limited(self, num_train: int) -> DataSplit:
        """Return the split with that many of the training examples, random but always the same; 0: all.

        A smaller subset is part of a larger one. Images in memory keep the shares of their classes.
        """
        if not 0 < num_train < len(self.train):
            return self
        order = epoch_order(len(self.train), 0, 0, part="subset")
        if isinstance(self.train, ImageSet):
            order = _evenly(order, self.train.labels.cpu())
        chosen = order[:num_train]
        return replace(self, facts=replace(self.facts, num_train=num_train), train=Subset(self.train, chosen))


def _evenly(order: Tensor, labels: Tensor) -> Tensor:
    """Return an order in which every part from the start has the classes in their shares."""
    places = torch.empty(len(order), dtype=torch.float64)
    for label in set(labels.tolist()):
        own = (labels[order] == label).nonzero()[:, 0]
        places[own] = (torch.arange(len(own), dtype=torch.float64) + 0.5) / len(own)
    return order[places.argsort(stable=True)]


def check_image_shape(image_shape: tuple[int, ...], channels: int) -> tuple[int, int, int]:
    """Return the shape if images of that many channels can be converted to it.

    Raises:
        DataError: It is not (C, H, W), or colours would have to be merged.
    """
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise DataError(f"images have (channels, height, width), but the network expects {image_shape}")
    if channels not in (1, image_shape[0]):
        raise DataError(
            f"the network expects {image_shape[0]} channels, but the images have {channels}; use an input of"
            f" {channels} channels"
        )
    return image_shape[0], image_shape[1], image_shape[2]
