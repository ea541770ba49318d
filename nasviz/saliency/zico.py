"""ZiCo (Li et al., 2023): size and steadiness of the gradients of a structure's layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nasviz.errors import DataError
from nasviz.saliency.probe import Batch, Probe

__all__ = ["steadiness", "zico"]


def zico(probe: Probe) -> Tensor:
    """Mean over a structure's layers of log z, with z the sum of mean |g| / std(g) over the batches.

    A layer is a parameter of two or more dimensions. A single batch is split into two halves.

    Raises:
        DataError: There are fewer than two examples.
    """
    batches = list(probe.batches)
    if len(batches) == 1:
        batches = _halves(batches[0])
    owners = [owned for owned in _layers(probe).values() if owned]
    layers = [layer for owned in owners for layer in owned]
    if not layers:
        return torch.zeros(len(probe.index.ids), dtype=torch.float64)
    samples = [
        torch.autograd.grad(probe.loss_of(batch), layers, allow_unused=True, materialize_grads=True)
        for batch in batches
    ]
    found = iter([steadiness(torch.stack(of_layer)) for of_layer in zip(*samples, strict=True)])
    scores = []
    for owned in _layers(probe).values():
        logs = [z.log() for z in (next(found) for _ in owned) if z > 0]
        scores.append(float(torch.stack(logs).mean()) if logs else 0.0)
    return torch.tensor(scores, dtype=torch.float64)


def steadiness(gradients: Tensor) -> Tensor:
    """Return z of one layer: the sum of mean |g| / std(g) over the entries that vary between samples.

    Args:
        gradients: Shape `(num_samples, ...)`.

    Examples:
        >>> round(steadiness(torch.tensor([[0.2, -0.4, 0.1], [0.4, -0.2, 0.1]])).log().item(), 6)
        1.791759
    """
    # Entries with zero deviation, such as dead units, would divide by zero.
    deviation = gradients.double().std(dim=0, correction=0)
    is_moving = deviation > 0
    return (gradients.double().abs().mean(dim=0)[is_moving] / deviation[is_moving]).sum()


def _layers(probe: Probe) -> dict[int, list[Tensor]]:
    """Return the trained layers of each structure."""
    tensors = iter(probe.index.tensors)
    owned = {s.id: [next(tensors) for _ in s.parameter_names] for s in probe.space.removable}
    return {i: [t for t in group if t.dim() >= 2 and t.requires_grad] for i, group in owned.items()}


def _halves(batch: Batch) -> list[Batch]:
    inputs, target = batch
    num_examples = len(target)
    if num_examples < 2:
        raise DataError("zico compares gradients: pass at least two batches, or one with two examples")

    def half(value: Tensor | Sequence[Tensor], rows: slice) -> object:
        return value[rows] if isinstance(value, Tensor) else tuple(part[rows] for part in value)

    middle = num_examples // 2
    return [(half(inputs, rows), target[rows]) for rows in (slice(middle), slice(middle, None))]
