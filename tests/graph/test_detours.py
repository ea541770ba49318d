"""Detours cost what a search would find, the essential sinks stand for all, and selection stays local."""

from __future__ import annotations

import random
from itertools import pairwise
from math import inf

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasviz.graph import SearchSpace, TraceGraph, search_space
from nasviz.graph.selection import Detours, essential_sinks
from tests.graph.networks import Sketch
from tests.graph.random_networks import random_network


def searched(space: SearchSpace, sink: int, erased: set[int]) -> float:
    """Cost of the cheapest way by networkx."""
    priced = space.connectivity.priced
    graph = nx.DiGraph()
    for s in space.segments:
        if s.id not in erased:
            graph.add_edges_from(((s.id, f) for f in s.successors if f not in erased), cost=0)
            graph.add_edges_from((("inputs", s.id) for _ in s.inputs), cost=0)
    for tail, head in graph.edges:
        graph.edges[tail, head]["cost"] = int(head in priced)
    try:
        return nx.shortest_path_length(graph, "inputs", sink, weight="cost")
    except (nx.NetworkXNoPath, nx.NodeNotFound):
        return inf


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_a_detour_costs_what_a_search_finds(seed: int, shuffle: random.Random) -> None:
    space = search_space(random_network(seed))
    sink = space.connectivity.essential[0]
    detours = Detours(space.segments, sink, space.connectivity.priced)
    order, erased = sorted(space.connectivity.priced), set()
    shuffle.shuffle(order)
    for structure in order:
        assert detours.cost == searched(space, sink, erased)
        assert detours.around(structure) == searched(space, sink, {*erased, structure})
        if detours.around(structure) < inf:
            erased.add(structure)
            detours.erase(structure)


@given(st.integers(0, 10_000), st.data())
def test_what_keeps_the_essential_sinks_keeps_all(seed: int, data: st.DataObject) -> None:
    space = search_space(random_network(seed))
    connectivity = space.connectivity
    essential = set(essential_sinks(space.segments, connectivity.sinks, connectivity.priced))
    assert essential <= connectivity.sinks
    ids = sorted(connectivity.priced)
    erased = data.draw(st.sets(st.sampled_from(ids))) if ids else set()
    gone = connectivity.closure(erased)
    assert gone.isdisjoint(essential) == gone.isdisjoint(connectivity.sinks)


def cells(count: int, *, gated: bool) -> TraceGraph:
    """A chain of cells: three branches each, the second one of two structures, and a gate behind them."""
    s = Sketch("cells")
    source = s.conv("stem", "x", 4)
    for cell in range(count):
        deep = s.joint(f"inner{cell}", "add", s.conv(f"a{cell}", source, 4), s.conv(f"b{cell}", source, 4))
        ends = [s.conv(f"c{cell}", deep, 4), s.conv(f"d{cell}", source, 4), s.conv(f"e{cell}", source, 4)]
        source = s.conv(f"mix{cell}", s.joint(f"cat{cell}", "cat", *ends), 4, 1)
        if gated:
            gate = s.sigmoid(f"gate{cell}", s.conv(f"squeeze{cell}", source, 4, 1))
            source = s.joint(f"product{cell}", "mul", s.conv(f"value{cell}", source, 4), gate)
    return s.done(s.head(source))


@pytest.mark.parametrize("gated", [False, True])
def test_one_sink_rules_a_chain_of_blocks(gated: bool) -> None:
    space = search_space(cells(4, gated=gated))
    assert not space.connectivity.gated, "both factors come from one segment: they are lost together"
    (sink,) = space.connectivity.essential
    assert space.segments[sink].outputs
    assert space.max_sparsity == len(space.removable) - 4


def test_selection_visits_what_changes_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    visits = []
    for name in ("_from_inputs", "_to_sink"):
        visit = getattr(Detours, name)
        monkeypatch.setattr(Detours, name, lambda *args, visit=visit: visits.append(1) or visit(*args))
    per_cell = []
    for count in (20, 40, 80):
        space = search_space(cells(count, gated=False))
        draw = random.Random(0)
        scores = {s.id: draw.random() for s in space.removable}
        visits.clear()
        assert len(space.select(scores, space.max_sparsity)) == space.max_sparsity
        per_cell.append(len(visits) / count)
    assert all(after < before * 1.1 for before, after in pairwise(per_cell))


def test_two_outputs_are_two_sinks() -> None:
    s = Sketch("two")
    stem = s.conv("stem", "x", 4)
    sums = [s.joint(f"sum{i}", "add", s.conv(f"a{i}", stem, 4), s.conv(f"b{i}", stem, 4)) for i in range(2)]
    space = search_space(s.done(*(s.conv(f"head{i}", value, 2) for i, value in enumerate(sums))))
    assert len(space.connectivity.essential) == 2
    assert space.connectivity.detours() is None
    assert space.max_sparsity == 2
