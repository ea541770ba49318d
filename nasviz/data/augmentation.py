"""Training images that vary from epoch to epoch, each as a pure function of seed, epoch and its index.

A run that is resumed, with or without processes that load, so meets the same variants as one that was not.
Shifts and mirrors are those of ResNet's training on CIFAR (He et al., 2016); cutout is DeVries and Taylor's
(2017), of half the width as in DARTS; the resized crop is Inception's (Szegedy et al., 2015), for ImageNet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from hashlib import sha256

import torch
from torch import Tensor

from nasviz.data.images import Box, Crop, Images
from nasviz.errors import DataError

__all__ = ["augmented", "crop_box", "cut_out", "flip", "shift"]

SHIFT = 8
"""One part in this many of the size is the largest shift: 4 of 32 pixels."""
AREA = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
"""Share of the area, and width to height, of a resized crop."""
_DRAWS = 5


def augmented(images: Images, kind: str, *, seed: int, epoch: int) -> Images:
    """The training images as they come in this epoch.

    Args:
        images: As they are stored.
        kind: "none", "shift", "shift_flip", "cutout" or "resized_crop".
        seed: Of the run.
        epoch: Counted from 0.
    """
    images = images.in_epoch(seed, epoch)
    if kind == "none":
        return images
    # Drawn for all images at once: cheaper than a generator for each, and as much a function of the index.
    digest = sha256(f"augmentation/{seed}/{epoch}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return _Augmented(images, kind, torch.rand(len(images), _DRAWS, generator=generator))


@dataclass(frozen=True, eq=False)
class _Augmented:
    """Images of one epoch, varied by what was drawn for each."""

    images: Images
    kind: str
    draws: Tensor
    """`(num, 5)`, in [0, 1)."""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def device(self) -> torch.device:
        return self.images.device

    def to(self, device: torch.device | str) -> _Augmented:
        return replace(self, images=self.images.to(device))

    def in_epoch(self, seed: int, epoch: int) -> _Augmented:
        return replace(self, images=self.images.in_epoch(seed, epoch))

    def black(self) -> Tensor | float:
        return self.images.black()

    def batch(self, indices: Tensor, crop: Crop | None = None) -> tuple[Tensor, Tensor]:
        draws = self.draws[indices]
        if self.kind == "resized_crop":
            batch, labels = self.images.batch(indices, self._crop)
            return flip(batch, draws[:, 4]), labels
        batch, labels = self.images.batch(indices, crop)
        if batch.dim() != 4:
            raise DataError(
                f"augmentation={self.kind!r} varies images (N, C, H, W), but these are {tuple(batch.shape)};"
                " choose 'none', and vary them in your own data set"
            )
        batch = shift(batch, draws[:, :2], self.black())
        if self.kind != "shift":
            batch = flip(batch, draws[:, 4])
        if self.kind == "cutout":
            batch = cut_out(batch, draws[:, 2:4])
        return batch, labels

    def _crop(self, index: int, height: int, width: int) -> Box:
        return crop_box(self.draws[index].tolist(), height, width)


def shift(images: Tensor, draws: Tensor, black: Tensor | float) -> Tensor:
    """Images `(B, C, H, W)`, each moved by up to an eighth of its size; what comes in is black.

    Args:
        images: Left as they are.
        draws: `(B, 2)` in [0, 1), down and right.
        black: `(C, 1, 1)`, or a number.

    Examples:
        >>> image = torch.ones(1, 1, 8, 8)
        >>> shift(image, torch.tensor([[0.99, 0.5]]), 0.0)[0, 0, :, 0]
        tensor([1., 1., 1., 1., 1., 1., 1., 0.])
    """
    num, _, height, width = images.shape
    across, down = width // SHIFT, height // SHIFT
    black = torch.as_tensor(black, dtype=images.dtype, device=images.device)
    padded = images.new_empty(num, images.shape[1], height + 2 * down, width + 2 * across)
    padded[:] = black
    padded[:, :, down : down + height, across : across + width] = images
    draws = draws.to(images.device)
    top = (draws[:, 0] * (2 * down + 1)).long()[:, None] + torch.arange(height, device=images.device)
    left = (draws[:, 1] * (2 * across + 1)).long()[:, None] + torch.arange(width, device=images.device)
    rows = padded.gather(2, top[:, None, :, None].expand(-1, padded.shape[1], -1, padded.shape[3]))
    return rows.gather(3, left[:, None, None, :].expand(-1, padded.shape[1], height, -1))


def flip(images: Tensor, draws: Tensor) -> Tensor:
    """Images `(B, C, H, W)`, mirrored left to right where `draws`, `(B,)`, is below a half."""
    mirrored = (draws < 0.5).to(images.device)[:, None, None, None]
    return torch.where(mirrored, images.flip(-1), images)


def cut_out(images: Tensor, draws: Tensor) -> Tensor:
    """Images `(B, C, H, W)`, each with a square of half its size at 0, the mean; it may reach over the rim.

    Args:
        images: Left as they are.
        draws: `(B, 2)` in [0, 1), where the middle of the square lies.
    """
    height, width = images.shape[-2:]
    middle = draws.to(images.device) * torch.tensor([height, width], device=images.device)
    middle = middle.floor()

    def inside(length: int, centre: Tensor) -> Tensor:
        place = torch.arange(length, device=images.device)
        low = centre[:, None] - length // 4
        return (place >= low) & (place < low + length // 2)

    square = inside(height, middle[:, 0])[:, :, None] & inside(width, middle[:, 1])[:, None, :]
    return images.masked_fill(square[:, None], 0.0)


def crop_box(draws: list[float], height: int, width: int) -> Box:
    """The part of an image that four draws in [0, 1) choose: 8 to 100 % of its area, 3:4 to 4:3.

    A part that would reach over the image is cut to it. (Others draw again, and may do so for long.)

    Examples:
        >>> crop_box([0.999, 0.5, 0.0, 0.0], 100, 100)
        (0, 0, 100, 100)
    """
    area = (AREA[0] + draws[0] * (AREA[1] - AREA[0])) * height * width
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    ratio = math.exp(low + draws[1] * (high - low))
    box_width = min(width, max(1, round(math.sqrt(area * ratio))))
    box_height = min(height, max(1, round(math.sqrt(area / ratio))))
    top = int(draws[2] * (height - box_height + 1))
    left = int(draws[3] * (width - box_width + 1))
    return top, left, box_height, box_width
