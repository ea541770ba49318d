"""RARTS's width search and SiDT, tied to a network and its search space."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from typing import Any

from torch import nn
from torch.optim import Optimizer

from nasviz.errors import InvalidSettingError
from nasviz.graph import ChannelStructure, SearchSpace
from nasviz.nas.dimension import kept_dimensions
from nasviz.nas.rarts import Relaxation
from nasviz.nas.width_search import WidthSearch
from nasviz.optim.binding import SpaceBinding, tensors_of, trained_space
from nasviz.optim.channel_scores import ChannelScores, attention_pairs
from nasviz.optim.inner import inner_optimizer
from nasviz.optim.row_grouping import group_of_rows

__all__ = ["RANKINGS", "SCOPES", "create_width"]

SCOPES = ("channels", "filters", "dimensions")
"""What is scored: all channels, those that one operator alone makes, or those of linear layers (SiDT)."""
RANKINGS = ("global", "layer")


def create_width(
    net: nn.Module,
    space: SearchSpace,
    *,
    projection_steps: int,
    base: str | Optimizer = "sgd",
    groups: str = "channels",
    fraction: float = 0.4,
    ranking: str = "global",
    sparsity: float = 1e-4,
    scores_lr: float = 0.1,
    auxiliary_weight: float = 1.0,
    coupling: float = 1.0,
    distillation: float = 1.0,
    clip: float = 5.0,
    **settings: Any,
) -> WidthSearch:
    """RARTS on the scores of a network's channels (dissertation, Algorithm 3), or of dimensions (SiDT).

    Args:
        net: The traced network; its own parameters are trained.
        space: Its search space.
        projection_steps: Steps of the search, before pruning.
        base: `sgd`, `adam` or `adamw`, for the weights; or an optimizer of `torch.optim` that holds them.
        groups: What is scored, one of `SCOPES`. `dimensions`: those of heads, shared by queries, keys, values
            and all heads, and those of hidden layers.
        fraction: m, the share of scored groups that is pruned; 0 prunes those whose score is exactly 0.
        ranking: `global`: all scores are sorted together; `layer`: each structure keeps the same share.
        sparsity: gamma, weight of the l1 norm of the scores; published: 1e-4.
        scores_lr: Learning rate of the scores.
        auxiliary_weight: lambda of RARTS.
        coupling: beta of RARTS.
        distillation: Weight of the distillation from the network before pruning; 0 for none.
        clip: Longest gradient of the weights.
        **settings: Those of the base (`lr`, `momentum`, `weight_decay`, ...).

    Raises:
        InvalidSettingError: A setting is out of range, or the network has nothing to score.
    """
    if groups not in SCOPES or ranking not in RANKINGS:
        raise InvalidSettingError(
            f"groups={groups!r}, ranking={ranking!r}: choose of {', '.join(SCOPES)}, and of"
            f" {', '.join(RANKINGS)}"
        )
    if isinstance(base, Optimizer):
        inner = base
    else:
        inner = inner_optimizer(base, [p for p in net.parameters() if p.requires_grad], **settings)
    asked_space, space = space, trained_space(net, space, tensors_of(inner))
    chosen = [s for s in space.channels.slimmable if _is_scored(space, s, groups)]
    pairs = attention_pairs(space, chosen) if groups == "dimensions" else {}
    scores = ChannelScores(net, space, chosen, pairs)
    index = SpaceBinding(net, space).channel_index(chosen)

    def select(sizes: Mapping[int, float], share: float) -> tuple[int, ...]:
        return _lowest(scores, sizes, share, ranking)

    search = WidthSearch(
        net,
        inner,
        scores,
        select,
        lambda ids: group_of_rows(index, ids),
        search_steps=projection_steps,
        fraction=fraction,
        sparsity=sparsity,
        scores_lr=scores_lr,
        distillation=distillation,
        relaxation=Relaxation(auxiliary_weight, coupling),
        clip=clip,
    )
    search.serve(asked_space, space, groups=groups, ranking=ranking)
    return search


def _is_scored(space: SearchSpace, structure: ChannelStructure, groups: str) -> bool:
    if groups == "dimensions":
        return all(space.trace[v].operator == "linear" for v in structure.stems)
    return groups == "channels" or len(structure.stems) == 1


def _lowest(scores: ChannelScores, sizes: Mapping[int, float], share: float, ranking: str) -> tuple[int, ...]:
    """The groups that go: those of lowest size, of equal ones the earlier; every operator keeps a channel."""
    channels, known = scores.space.channels, set(sizes)
    if share >= 1 or len(known) < len(scores.home):  # those that are exactly zero, as many as can go
        return channels.leave_something(known)
    if ranking == "layer":
        gone: list[int] = []
        for structure in scores.structures:
            order = sorted(structure.groups, key=lambda group: (sizes[group], group))
            gone += order[: structure.width - kept_dimensions(1 - share, structure.width)]
        return channels.leave_something(scores.together(gone))
    limit = sum(s.width - 1 for s in scores.structures)
    k = min(floor(share * len(scores.home) + 1e-9), limit, channels.max_groups())
    everything = {group: float("inf") for s in channels.slimmable for group in s.groups} | dict(sizes)
    picked = [group for group in channels.select(everything, k) if group in known]
    return channels.leave_something(scores.together(picked))
