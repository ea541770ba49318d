"""Augmentation of training images, each a pure function of seed, epoch and index.

A resumed run, with or without loader processes, so sees the same variants as an uninterrupted one. Shift and
flip are those of ResNet on CIFAR (He et al., 2016); cutout is DeVries and Taylor's (2017) with half the
width, as in DARTS; the resized crop is Inception's (Szegedy et al., 2015), for ImageNet.
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
"""The largest shift is the size over this number: 4 of 32 pixels."""
AREA = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
"""Share of the area, and ratio of width to height, of a resized crop."""
_DRAWS = 5


def augmented(images: Images, kind: str, *, seed: int, epoch: int) -> Images:
    """Return the training images as augmented in one epoch.

    Args:
        images: Stored images.
        kind: "none", "shift", "shift_flip", "cutout" or "resized_crop".
        seed: Seed of the run.
        epoch: 0-based epoch.
    """
    images = images.in_epoch(seed, epoch)
    if kind == "none":
        return images
    # Drawn for all images at once: cheaper than one generator per image, and still a function of the index.
    digest = sha256(f"augmentation/{seed}/{epoch}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return _Augmented(images, kind, torch.rand(len(images), _DRAWS, generator=generator))


@dataclass(frozen=True, eq=False)
class _Augmented:
    """Images of one epoch, with the random numbers that augment each."""

    images: Images
    kind: str
    draws: Tensor
    """Shape `(num, 5)`, in [0, 1)."""

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
                f"augmentation={self.kind!r} needs images (N, C, H, W), not examples {tuple(batch.shape)};"
                " choose 'none', and augment them in your own data set"
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
    """Shift images `(B, C, H, W)` by up to an eighth of their size each; the uncovered rim is black.

    Args:
        images: Images, not modified.
        draws: Random numbers `(B, 2)` in [0, 1), down and right.
        black: Value of a black pixel, `(C, 1, 1)` or a number.

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
    """Mirror images `(B, C, H, W)` left to right where `draws`, `(B,)`, is below a half."""
    mirrored = (draws < 0.5).to(images.device)[:, None, None, None]
    return torch.where(mirrored, images.flip(-1), images)


def cut_out(images: Tensor, draws: Tensor) -> Tensor:
    """Set a square of half the image size to 0, the mean, in images `(B, C, H, W)`; it may cross the rim.

    Args:
        images: Images, not modified.
        draws: Random numbers `(B, 2)` in [0, 1), the position of the square's centre.
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
    """Return the crop that four numbers in [0, 1) select: 8 to 100 % of the area, 3:4 to 4:3.

    A crop that exceeds the image is clipped; other implementations draw again, for an unbounded time.

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
