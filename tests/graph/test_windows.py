"""Slices of channels are index maps; weights that are not defined at zero keep their structure."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

import nasviz
from nasviz.graph.operators.zeros import Passage, Zeros, pass_through
from nasviz.graph.trace_graph import Input, Output, TraceGraph, Vertex


class Windows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(3, 5, 1)
        self.norm = nn.BatchNorm2d(12)
        self.first, self.last = nn.Conv2d(6, 2, 1), nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(torch.cat([self.a(x), self.b(x), self.c(x)], 1))
        return self.first(x[:, :6]).mean((2, 3)) + self.last(x[:, -8:, 1:]).mean((2, 3))


def window(attributes: dict[str, int]) -> Passage | None:
    """What a slice of eight channels of which the second and third are missing becomes."""
    vertex = Vertex("s", "s", "slice", ("x",), (-1, 8), attributes=attributes, keeps_zero=True)
    trace = TraceGraph("slice", (Input("x", (-1, 8)),), (vertex,), (Output("output", "s"),))
    return pass_through(vertex, Zeros(1, (1, 2), 8), trace)


def test_windows_of_channels_are_cut_exactly() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 4)
    network = nasviz.trace(Windows(), x)
    space = nasviz.search_space(network)
    parts = {s.id: s.name for s in space.removable if s.name in "abc"}
    for chosen in (c for k in (1, 2) for c in combinations(parts, k)):
        sub = nasviz.construct(network, space, chosen, inputs=x)
        is_empty = {parts[i] for i in chosen} in ({"a", "b"}, {"b", "c"})
        assert bool(sub.report.materialised) == is_empty
        assert sub.report.max_relative_error < 1e-6


@pytest.mark.parametrize(
    ("start", "end", "rows", "bounds"),
    [(0, 4, (1, 2), (0, 2)), (2, 9, (0,), (1, 6)), (-3, None, (), (3, 6)), (None, 1, (), (0, 1))],
)
def test_bounds_move_to_other_live_channels(
    start: int | None, end: int | None, rows: tuple[int, ...], bounds: tuple[int, int]
) -> None:
    given = {"dim": 1, "start": start, "end": end, "step": 1}
    attributes = {key: value for key, value in given.items() if value is not None}

    passage = window(attributes)

    assert passage is not None
    assert (passage.zeros.rows if passage.zeros else ()) == rows
    assert tuple(passage.retyped.values()) == bounds


def test_a_strided_or_empty_window_has_no_rule() -> None:
    assert window({"dim": 1, "step": 2}) is window({"dim": 1, "start": 1, "end": 3}) is None


def test_a_weight_that_is_zero_by_zero_keeps_its_structure() -> None:
    class Divided(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 4, 1))
            self.norm = nn.BatchNorm1d(4)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.norm(self.conv(x))

    space = nasviz.search_space(nasviz.trace(Divided(), torch.randn(2, 4, 5)))

    assert not space.removable
    assert (
        space.structures[0].reason == "the weight of conv.conv1d is not defined where its variables are zero"
    )
