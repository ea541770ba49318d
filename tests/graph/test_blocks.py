"""Collapse: one module, one vertex, one structure."""

from __future__ import annotations

import dataclasses

import pytest

from nasviz.errors import GraphError, UnknownVertexError
from nasviz.graph import SearchSpace, TraceGraph, search_space
from tests.graph.networks import Sketch


def with_reduction() -> TraceGraph:
    """A FactorizedReduce (two convolutions side by side, concatenated, normed) beside a convolution."""
    s = Sketch("reduced")
    stem = s.conv("stem", "x", 4)
    halves = s.joint("cat", "cat", s.conv("left", stem, 2), s.conv("right", stem, 2))
    reduced = s.norm("norm", halves)
    trace = s.done(s.head(s.joint("sum", "add", reduced, s.conv("plain", stem, 4))))
    inside = ("left", "right", "cat", "norm")
    vertices = tuple(dataclasses.replace(v, scope=("reduce",)) if v.id in inside else v for v in trace)
    return dataclasses.replace(trace, vertices=vertices, modules={"": "Net", "reduce": "FactorizedReduce"})


def test_uncollapsed_the_module_falls_apart() -> None:
    names = [s.name for s in search_space(with_reduction()).structures]
    assert names == ["left", "right", "plain", "norm"]


@pytest.mark.parametrize("wish", ["FactorizedReduce", "reduce", "red*"])
def test_collapsed_the_module_is_one_structure(wish: str) -> None:
    space = search_space(with_reduction(), collapse=[wish])
    assert [s.name for s in space.removable] == ["reduce", "plain"]
    structure = space.removable[0]
    assert structure.vertices == ("left", "right", "cat", "norm")
    assert structure.num_parameters == 2 * (2 * 4 * 9 + 2) + 2 * 4
    assert space.segments.collapsed == {"reduce": structure.vertices}
    assert space.max_sparsity == 1
    assert set(space.plan([structure.id]).erased) == set(structure.vertices)
    assert SearchSpace.from_json(space.to_json()).structures == space.structures


def test_a_module_with_two_values_out_cannot_be_one_vertex() -> None:
    trace = with_reduction()
    wide = tuple(dataclasses.replace(v, scope=("reduce",)) if v.id == "plain" else v for v in trace)
    with pytest.raises(GraphError, match="2 of its values are read outside"):
        search_space(dataclasses.replace(trace, vertices=wide), collapse=["reduce"])
    with pytest.raises(UnknownVertexError, match="cannot collapse 'nothing'"):
        search_space(trace, collapse=["nothing"])
