"""Random directed acyclic graphs of convolutions, norms, pools, activations, sums and concatenations.

Any step may read any value before it, also values that others read; some modules are called several times.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["EVERYTHING", "KINDS", "Dag", "Step", "dags"]

WIDTH = 4
"""Channels of all values but concatenations and what channelwise calls make of them."""
ACTIVATIONS = {
    "relu": torch.relu,
    "gelu": functional.gelu,
    "sigmoid": torch.sigmoid,
    "plus one": lambda x: x + 1,
}
POOLS = {
    "max pool": lambda x: functional.max_pool2d(x, 3, 1, 1),
    "average": lambda x: functional.avg_pool2d(x, 3, 1, 1),
}
STEMS = ("conv 1x1", "conv 3x3", "shared conv")
KINDS = (*STEMS, "depthwise", "norm", "shared norm", *ACTIVATIONS, *POOLS, "shuffle", "add", "cat")


class Step(NamedTuple):
    """One call: its kind, and which of the earlier values it reads, counted from the last."""

    kind: str
    sources: tuple[int, ...]


def dags() -> st.SearchStrategy[tuple[Step, ...]]:
    """Six to sixteen steps, joints among them."""
    place = st.integers(1, 5)
    joint = st.builds(
        Step, st.sampled_from(("add", "cat")), st.lists(place, min_size=2, max_size=3, unique=True).map(tuple)
    )
    single = st.builds(Step, st.sampled_from(KINDS[:-2]), st.tuples(place))
    steps = st.lists(st.one_of(joint, single, single), min_size=6, max_size=16).map(tuple)
    return steps.filter(lambda found: any(len(step.sources) > 1 for step in found))


EVERYTHING = (
    *(Step(kind, (1,)) for kind in ("conv 3x3", "shared conv", "gelu", "conv 1x1")),
    Step("cat", (1, 2, 4)),
    *(Step(kind, (1,)) for kind in ("shuffle", "norm", "max pool", "depthwise", "relu", "average")),
    Step("conv 1x1", (1,)),
    Step("add", (1, 3)),
    *(Step(kind, (1,)) for kind in ("shared conv", "shared norm", "conv 1x1", "shared norm")),
    Step("cat", (1, 2, 3)),
    *(Step(kind, (1,)) for kind in ("sigmoid", "plus one", "conv 1x1")),
)
"""A graph with every kind of step."""


class Dag(nn.Module):
    """A stem, the steps, and a head over all values that nobody has read."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, WIDTH, 3, padding=1)
        self.steps = steps
        self.shared = nn.ModuleDict(
            {"conv": nn.Conv2d(WIDTH, WIDTH, 3, padding=1), "norm": nn.BatchNorm2d(WIDTH)}
        )
        widths, unread = [WIDTH], {0}
        self.parts, self.adapters = nn.ModuleList(), nn.ModuleList()
        for step in steps:
            sources = [max(0, len(widths) - back) for back in step.sources]
            unread -= set(sources)
            unread.add(len(widths))
            channels = [widths[source] for source in sources]
            part, adapters, width = _made(step.kind, channels)
            self.parts.append(part)
            self.adapters.append(nn.ModuleList(adapters))
            widths.append(width)
        self.unread = sorted(unread)
        self.head = nn.Linear(sum(widths[place] for place in self.unread), 3)

    def forward(self, x: Tensor) -> Tensor:
        values = [self.stem(x)]
        for step, part, adapters in zip(self.steps, self.parts, self.adapters, strict=True):
            given = [values[max(0, len(values) - back)] for back in step.sources]
            given = [adapt(value) for adapt, value in zip(adapters, given, strict=True)]
            values.append(self._call(step.kind, part, given))
        return self.head(torch.cat([values[place].mean((2, 3)) for place in self.unread], 1))

    def _call(self, kind: str, part: nn.Module, given: list[Tensor]) -> Tensor:
        x = given[0]
        if kind == "cat":
            return torch.cat(given, 1)
        if kind == "add":
            return sum(given[1:], start=x)
        if kind.startswith("shared"):
            return self.shared[kind.removeprefix("shared ")](x)
        if kind == "shuffle":
            return x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)
        return (ACTIVATIONS | POOLS).get(kind, part)(x)


def _made(kind: str, channels: list[int]) -> tuple[nn.Module, list[nn.Module], int]:
    """Module of a step, what fits its operands to it, and its width."""
    first = channels[0]
    as_is: list[nn.Module] = [nn.Identity() for _ in channels]
    if kind == "cat":
        return nn.Identity(), as_is, sum(channels)
    if kind in ("add", "shared conv", "shared norm"):
        fitted = [nn.Identity() if width == WIDTH else nn.Conv2d(width, WIDTH, 1) for width in channels]
        return nn.Identity(), fitted, WIDTH
    parts: dict[str, Any] = {
        "conv 1x1": lambda: nn.Conv2d(first, WIDTH, 1, bias=False),
        "conv 3x3": lambda: nn.Conv2d(first, WIDTH, 3, padding=1),
        "depthwise": lambda: nn.Conv2d(first, first, 3, padding=1, groups=first),
        "norm": lambda: nn.BatchNorm2d(first),
    }
    return parts.get(kind, nn.Identity)(), as_is, WIDTH if kind in STEMS else first
