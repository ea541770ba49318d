"""Scores with curvature: second-order Taylor, and GraSP; one Hessian-vector product per batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nasviz.saliency.probe import Batch, Probe, derivatives

__all__ = ["grasp", "second_order_taylor"]

Gradients = list[Tensor | None]


def second_order_taylor(probe: Probe) -> Tensor:
    """|-<x_g, g_g> + <x_g, (H x)_g> / 2|: change of the loss without a structure, to second order.

    H x is one product with the variables of all structures, so cross terms of two structures are split evenly
    between both. Exact for a quadratic loss that does not couple them (Hassibi & Stork, 1992).
    """
    values = [tensor.detach() for tensor in probe.index.tensors]

    def score(batch: Batch) -> Tensor:
        first, second = _products(probe, batch, lambda gradients: values)
        return (probe.index.dot(values, second) / 2 - probe.index.dot(values, first)).abs()

    return torch.stack([score(batch) for batch in probe.batches]).mean(dim=0)


def grasp(probe: Probe) -> Tensor:
    """<x_g, (H g)_g>: half the squared gradient norm that is lost with a structure (GraSP).

    GraSP scores a weight by -x (H g) and removes the largest, so the sign is inverted here.
    """
    values = [tensor.detach() for tensor in probe.index.tensors]

    def score(batch: Batch) -> Tensor:
        _, second = _products(probe, batch, lambda gradients: gradients)
        return probe.index.dot(values, second)

    return torch.stack([score(batch) for batch in probe.batches]).mean(dim=0)


def _products(
    probe: Probe, batch: Batch, vector: Callable[[Gradients], Sequence[Tensor | None]]
) -> tuple[Gradients, Gradients]:
    """Return the gradient g and H v, with v = vector(g), at the structures' tensors.

    `vector` receives the gradient at all parameters, those of the structures first; what it leaves out at the
    end counts as zeros.
    """
    own = probe.index.tensors
    others = {id(p): p for p in probe.network.parameters()}.keys() - {id(tensor) for tensor in own}
    everything = [*own, *(p for p in probe.network.parameters() if id(p) in others)]
    first = derivatives(probe.loss_of(batch), everything, create_graph=True)
    plain = [None if g is None else g.detach() for g in first]
    pairs = [(g, v) for g, v in zip(first, vector(plain), strict=False) if not (g is None or v is None)]
    # Hv = d(g . v)/dx by double backward; gradients without a graph are constant in x.
    curved = [(g * v).sum() for g, v in pairs if g.requires_grad]
    second: Gradients = [None] * len(own)
    if curved:
        second = derivatives(torch.stack(curved).sum(), own)
    return plain[: len(own)], second
