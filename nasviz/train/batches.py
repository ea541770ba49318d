"""Batches of an epoch in an order that depends on the seed and the epoch alone, from any position on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn
from torch.utils.data import DataLoader, Dataset

from nasviz.data import TARGETS, augmented, epoch_order
from nasviz.errors import DataError, InputError
from nasviz.trace.network import known_description

if TYPE_CHECKING:
    from nasviz.data import Images

__all__ = [
    "Batch",
    "arguments",
    "epoch_batches",
    "in_order",
    "joined",
    "moved",
    "paired_batches",
]

Batch = tuple[Any, Any]
"""Inputs and target: tensors, or tuples and dicts of tensors."""


def moved(part: Any, device: torch.device) -> Any:
    """Return tensors, or a nest of them, on a device."""
    if isinstance(part, Tensor):
        return part.to(device, non_blocking=True)
    if isinstance(part, Mapping):
        return {name: moved(value, device) for name, value in part.items()}
    return tuple(moved(value, device) for value in part) if isinstance(part, tuple | list) else part


def joined(parts: Sequence[Any]) -> Any:
    """Return the batch of all examples of some batches of one form."""
    first = parts[0]
    if len(parts) == 1 or not isinstance(first, Tensor | Mapping | tuple):
        return first
    if isinstance(first, Tensor):
        return torch.cat(list(parts))
    if isinstance(first, Mapping):
        return {name: joined([part[name] for part in parts]) for name in first}
    return tuple(joined(list(values)) for values in zip(*parts, strict=True))


def arguments(network: nn.Module, inputs: Any) -> tuple[Any, ...]:
    """Return the positional arguments of a traced network for the inputs of a batch.

    A tuple holds the arguments in their order; a dict holds them by name, and may hold the target as well.
    A dict of other names is a single argument, as it is for `nasviz.trace`.

    Raises:
        InputError: The inputs lack an argument of the network.
    """
    if isinstance(inputs, Mapping):
        names, constants = argument_names(network), _constants(network)
        if len(names) == 1 and names[0] not in inputs:
            return (inputs,)
        unknown = [name for name in inputs if name not in names and name not in TARGETS]
        lacking = [name for name in names if name not in inputs and name not in constants]
        if lacking or unknown:
            raise InputError(
                f"the network takes {', '.join(names)}, and the batch holds {', '.join(map(str, inputs))};"
                " give the inputs the names of the arguments of its forward"
            )
        return tuple(inputs[name] if name in inputs else constants[name] for name in names)
    return inputs if isinstance(inputs, tuple) else (inputs,)


def _constants(network: nn.Module) -> dict[str, Any]:
    """Return the arguments that a network was traced with as constants, such as those left at None."""
    described = known_description(network.graph) if isinstance(network, fx.GraphModule) else None
    is_value = {name: d for name, d in (described or {}).items() if isinstance(d, tuple) and d[0] == "value"}
    return {name: value for name, (_, value) in is_value.items()}


def argument_names(network: nn.Module) -> list[str]:
    """Return the names of the arguments that a traced network takes."""
    if not isinstance(network, fx.GraphModule):
        return []
    return [str(node.target) for node in network.graph.nodes if node.op == "placeholder"]


class _Whole(Dataset[Batch]):
    """A set that a loader asks for whole batches."""

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
