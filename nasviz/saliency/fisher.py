"""Fisher score of a structure's output (Theis et al., Faster gaze prediction with dense networks, 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from nasviz.saliency.probe import Batch, Probe, recorded

__all__ = ["fisher"]


def fisher(probe: Probe) -> Tensor:
    """Return the sum over examples of <a, df/da>^2, with a the structure's output; mean over the batches.

    Erasing the structure zeroes its output; the squared slope approximates the curvature along that path.
    """
    return torch.stack([_fisher(probe, batch) for batch in probe.batches]).mean(dim=0)


def _fisher(probe: Probe, batch: Batch) -> Tensor:
    inputs, target = batch
    last = [probe.search_space.structure(i).vertices[-1] for i in probe.index.ids]
    output, kept = recorded(probe.network, inputs, last, keep=lambda value: value)
    values = [kept[name] for name in last]
    found = torch.autograd.grad(probe.loss(output, target), values, allow_unused=True)
    scores = [
        torch.zeros((), device=value.device) if slope is None
        # one inner product per example
        else (value * slope).flatten(1).sum(dim=1).square().sum()
        for value, slope in zip(values, found, strict=True)
    ]  # fmt: skip
    return torch.stack(scores).detach().double() if scores else torch.zeros(0, dtype=torch.float64)
