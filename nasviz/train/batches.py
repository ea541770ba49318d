"""Batches of an epoch in an order that depends on the seed and the epoch alone, from any position on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nasviz.data import augmented, epoch_order
from nasviz.errors import DataError

if TYPE_CHECKING:
    from nasviz.data import Images

__all__ = ["Batch", "epoch_batches", "in_order", "paired_batches"]

Batch = tuple[Tensor, Tensor]
"""Images and labels."""


class _Whole(Dataset[Batch]):
    """An image set that a loader asks for whole batches."""

    def __init__(self, images: Images) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Batch:
        return self.images.batch(torch.tensor([index]))

    def __getitems__(self, indices: list[int]) -> Batch:
        return self.images.batch(torch.tensor(indices))


def _as_it_is(batch: Any) -> Any:
    return batch


def epoch_batches(
    images: Images,
    *,
    seed: int,
    epoch: int,
    batch_size: int,
    start: int = 0,
    num_workers: int = 0,
    augmentation: str = "none",
    rank: int = 0,
    count: int = 1,
) -> Iterator[Batch]:
    """Images `(N, C, H, W)` and labels `(N,)` of each batch of an epoch, from batch `start` on.

    What does not fill a batch is left out, unless it is all there is. Processes that help loading change
    nothing about what comes, which is varied as `augmentation` says. Of `count` processes that train
    together, each takes every `count`-th image of every batch, from its rank on: shares of equal size, and
    all of them are the batch of a single process.
    """
    order = epoch_order(len(images), seed, epoch)
    images = augmented(images, augmentation, seed=seed, epoch=epoch)
    batches = _cut(order, batch_size, start)
    shares = [batch[rank : len(batch) // count * count : count] for batch in batches]
    if any(len(share) == 0 for share in shares):
        raise DataError(f"{len(images)} training images cannot be shared out among {count} processes")
    return _loaded(images, shares, seed, num_workers)


def paired_batches(
    images: Images,
    *,
    seed: int,
    epoch: int,
    batch_size: int,
    start: int = 0,
    num_workers: int = 0,
    augmentation: str = "none",
) -> Iterator[tuple[Batch, Batch]]:
    """Batches of both halves of the images, side by side; which image is in which half the seed decides.

    The two halves share no image, are of equal size, and are the same in every epoch (DARTS, section 3.1).
    """
    half = len(images) // 2
    if half == 0:
        raise DataError(f"{len(images)} training images cannot be split in halves; two are needed at least")
    split = epoch_order(len(images), seed, 0, part="halves")
    loaded = []
    images = augmented(images, augmentation, seed=seed, epoch=epoch)
    for number in range(2):
        members = split[number * half : (number + 1) * half]
        order = members[epoch_order(half, seed, epoch, part=f"half {number}")]
        loaded.append(_loaded(images, _cut(order, batch_size, start), seed, num_workers))
    yield from zip(*loaded, strict=True)


def in_order(images: Images, batch_size: int, num_workers: int = 0) -> Iterator[Batch]:
    """All images and labels as they are stored, the last batch maybe smaller."""
    return _loaded(images, list(torch.split(torch.arange(len(images)), batch_size)), 0, num_workers)


def _cut(order: Tensor, batch_size: int, start: int) -> list[Tensor]:
    """Indices of each batch from batch `start` on."""
    num_batches = max(1, len(order) // batch_size)
    return [order[i * batch_size : (i + 1) * batch_size] for i in range(start, num_batches)]


def _loaded(images: Images, chosen: list[Tensor], seed: int, num_workers: int) -> Iterator[Batch]:
    if num_workers == 0:
        for indices in chosen:
            yield images.batch(indices)
        return
    # A generator of its own: the default one would be advanced by the loader, and a resumed run would differ.
    loader = DataLoader(
        _Whole(images),
        batch_sampler=[indices.tolist() for indices in chosen],
        num_workers=num_workers,
        collate_fn=_as_it_is,
        generator=torch.Generator().manual_seed(seed),
        persistent_workers=False,
    )
    yield from loader
