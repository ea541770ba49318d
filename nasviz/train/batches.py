"""Batches of an epoch in an order that depends on the seed and the epoch alone, from any position on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nasviz.data import epoch_order

if TYPE_CHECKING:
    from nasviz.data import ImageSet

__all__ = ["epoch_batches"]

Batch = tuple[Tensor, Tensor]


class _Whole(Dataset[Batch]):
    """An image set that a loader asks for whole batches."""

    def __init__(self, images: ImageSet) -> None:
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
    images: ImageSet, *, seed: int, epoch: int, batch_size: int, start: int = 0, num_workers: int = 0
) -> Iterator[Batch]:
    """Images `(N, C, H, W)` and labels `(N,)` of each batch of an epoch, from batch `start` on.

    What does not fill a batch is left out, unless it is all there is. Processes that help loading change
    nothing about what comes.
    """
    order = epoch_order(len(images), seed, epoch)
    num_batches = max(1, len(order) // batch_size)
    chosen = [order[i * batch_size : (i + 1) * batch_size] for i in range(start, num_batches)]
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
