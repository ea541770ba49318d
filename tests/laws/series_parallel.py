"""Random networks of convolutions in series and in parallel, joined by additions, differences and cats."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = st.sampled_from([2, 3, 4])
STEMS = st.tuples(st.just("conv"), WIDTHS, st.sampled_from([1, 3]), st.booleans())
MIXERS = st.one_of(STEMS, st.tuples(st.just("conv norm"), WIDTHS, st.sampled_from([1, 3]), st.booleans()))
CHANNELWISE = st.sampled_from(
    ["relu", "norm", "prelu", "pool", "depthwise", "tanh", "shuffle", "group norm", "sigmoid", "twice"]
)
JOINTS = st.sampled_from(["add", "cat", "cat", "sub", "gate"])


def plans() -> st.SearchStrategy[Any]:
    """Nested plans of blocks: a mixer, a channelwise call, a series, or parallel branches with a joint."""
    leaves = st.one_of(MIXERS, CHANNELWISE)
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(st.just("series"), st.lists(inner, min_size=2, max_size=3)),
            st.tuples(st.just("parallel"), JOINTS, st.lists(inner, min_size=2, max_size=3)),
            st.tuples(st.just("parallel"), JOINTS, st.lists(inner, min_size=2, max_size=3)),
        ),
        max_leaves=9,
    ).filter(lambda plan: "parallel" in str(plan))


class Parallel(nn.Module):
    """Branches and their joint; a gate multiplies the first by a sigmoid of the second."""

    def __init__(self, joint: str, branches: list[nn.Module]) -> None:
        super().__init__()
        self.joint, self.branches = joint, nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        values = [branch(x) for branch in self.branches]
        if self.joint == "cat":
            return torch.cat(values, 1)
        total = values[0]
        for value in values[1:]:
            if self.joint == "gate":
                total = total * value.sigmoid()
            else:
                total = total + value if self.joint == "add" else torch.sub(total, value, alpha=2)
        return total


class Channelwise(nn.Module):
    """A call that keeps the number of channels."""

    def __init__(self, kind: str, channels: int) -> None:
        super().__init__()
        self.kind = kind
        parts = {
            "norm": lambda: nn.BatchNorm2d(channels),
            "prelu": lambda: nn.PReLU(channels),
            "depthwise": lambda: nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
            "group norm": lambda: nn.GroupNorm(1, channels),
            "twice": lambda: nn.Conv2d(channels, channels, 1),
        }
        self.part = parts[kind]() if kind in parts else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "pool":
            return functional.avg_pool2d(x, 3, 1, 1)
        if self.kind == "shuffle":
            return x.unflatten(1, (-1, 1)).transpose(1, 2).flatten(1, 2).roll(1, 3)
        if self.kind == "twice":
            return self.part(self.part(x).relu())
        if self.kind in ("relu", "tanh", "sigmoid"):
            return getattr(torch, self.kind)(x)
        return self.part(x)


def block(plan: Any, channels: int) -> tuple[nn.Module, int]:
    """The module of a plan, and its number of channels."""
    if isinstance(plan, str):
        return Channelwise(plan, channels), channels
    kind, *rest = plan
    if kind == "series":
        parts = []
        for inner in rest[0]:
            part, channels = block(inner, channels)
            parts.append(part)
        return nn.Sequential(*parts), channels
    if kind == "parallel":
        joint, inners = rest
        made = [block(inner, channels) for inner in inners]
        if joint == "cat":
            return Parallel(joint, [part for part, _ in made]), sum(width for _, width in made)
        first = made[0][1]
        branches = [p if w == first else nn.Sequential(p, nn.Conv2d(w, first, 1)) for p, w in made]
        return Parallel(joint, branches), first
    width, kernel, bias = rest
    parts = [nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=bias)]
    return nn.Sequential(*parts, *([nn.BatchNorm2d(width)] if kind == "conv norm" else [])), width


class Network(nn.Module):
    """A stem, the blocks of a plan, and a head."""

    def __init__(self, plan: Any) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.body, width = block(plan, 4)
        self.head = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.stem(x)).mean([2, 3]))
