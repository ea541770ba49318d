"""Zen-score (Lin et al., 2021): sensitivity of the features of a random network to its input."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn

from nasviz.graph import SearchSpace
from nasviz.saliency.leave_one_out import contributions, draw_gaussian_, leave_one_out_scores
from nasviz.saliency.probe import Probe, recorded, tensors_in

__all__ = ["zen", "zen_score"]

MIXING = 0.01
"""Distance gamma of the second input from the first."""
GLOBAL_POOLS = ("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "mean")


def zen(probe: Probe, repeats: int = 8) -> Tensor:
    """Return the loss of the Zen-score without each structure, averaged over draws of the weights.

    The paper compares networks by 32 draws each. Here both networks get the same draws, so fewer suffice.
    """
    totals = []
    for repeat in range(repeats):

        def draw_(network: nn.Module, seed: int, offset: int = 2 * repeat) -> None:
            draw_gaussian_(network, seed + offset)

        def score(gone: frozenset[int], seed: int = probe.seed + 2 * repeat + 1) -> tuple[float]:
            return (zen_score(probe, gone, seed=seed),)

        whole, without = leave_one_out_scores(probe, score, draw_)
        totals.append(contributions(whole[0], [None if scores is None else scores[0] for scores in without]))
    return torch.stack(totals).mean(dim=0)


@torch.no_grad()
def zen_score(probe: Probe, gone: frozenset[int] = frozenset(), *, seed: int) -> float:
    """Return the log of mean |f(x) - f(x + gamma e)|, summed over f, plus the log deviations of batch norms.

    f is the input of the last global pooling, x and e are noise. Erased norms are left out.
    """
    space, network = probe.search_space, probe.network
    generator = Generator().manual_seed(seed)
    x = tuple(torch.randn(value.shape, generator=generator).to(value) for value in probe.examples())
    moved = tuple(v + MIXING * torch.randn(v.shape, generator=generator).to(v) for v in x)
    norms = list(_norms(network, space, gone))
    for norm in norms:
        norm.momentum = 1.0  # running_var becomes that of the last batch
    feature = _feature(space)
    features = []
    for inputs in (moved, x):
        output, kept = recorded(network, inputs, [feature], keep=lambda value: value)
        features.append(kept.get(feature, next(tensors_in(output))))
    difference = (features[0] - features[1]).abs().flatten(1).sum(dim=1).mean()
    tiny = torch.finfo(torch.float32).tiny
    variances = [norm.running_var.mean() for norm in norms if norm.running_var is not None]
    deviations = [variance.clamp(min=tiny).sqrt().log().item() for variance in variances]
    return math.log(max(difference.item(), tiny)) + math.fsum(deviations)


def _norms(
    network: nn.Module, space: SearchSpace, gone: frozenset[int]
) -> Iterator[nn.modules.batchnorm._BatchNorm]:
    """Yield the batch norms that are not erased."""
    paths = dict.fromkeys(
        v.module for v in space.trace if v.module and space.segments.of(v.id).id not in gone
    )
    for path in paths:
        module = network.get_submodule(path)
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_var is not None:
            yield module


def _feature(space: SearchSpace) -> str:
    """Return the vertex whose value enters the last global pooling, or else leaves the network."""
    pooled = [v.inputs[0] for v in space.trace if v.operator in GLOBAL_POOLS]
    return pooled[-1] if pooled else space.trace.outputs[0].source
