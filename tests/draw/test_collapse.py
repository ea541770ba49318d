from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasviz.draw.collapse import calls, opening
from nasviz.draw.dot_trace import cell_drawing, trace_drawing
from nasviz.draw.drawing import Drawing
from nasviz.errors import UnknownNameError
from nasviz.graph import Input, Output, TraceGraph, Vertex
from tests.draw.networks import staged
from tests.graph.networks import demonet, stacked_unets

SCOPES = [(), ("a",), ("a", "a.b"), ("a", "a.c"), ("d",), ("d", "d.e"), ("d", "d.e", "d.e.f")]


@st.composite
def traces(draw: st.DrawFn) -> TraceGraph:
    """Any graph with any scopes: also modules that are left and entered again."""
    vertices: list[Vertex] = []
    for i in range(draw(st.integers(2, 14))):
        sources = ["x", *(v.id for v in vertices)]
        inputs = draw(st.lists(st.sampled_from(sources), min_size=1, max_size=3))
        scope = draw(st.sampled_from(SCOPES))
        vertices.append(Vertex(f"v{i}", f"v{i}", "add", tuple(inputs), (-1, 4), scope=scope))
    return TraceGraph("any", (Input("x", (-1, 4)),), tuple(vertices), (Output("y", vertices[-1].id),))


def to_networkx(drawing: Drawing) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_nodes_from(v.id for v in drawing.vertices)
    graph.add_edges_from((e.source, e.target) for e in drawing.edges)
    return graph


@given(traces(), st.sets(st.sampled_from(["a", "a.b", "a.c", "d", "d.e", "d.e.f"])))
def test_whatever_is_open_each_vertex_is_drawn_once_and_no_cycle_appears(trace: TraceGraph, opened: set[str]):
    drawing = trace_drawing(trace, opened)
    members = [m for v in drawing.vertices for m in v.members]
    assert sorted(members) == sorted(v.id for v in trace)
    assert nx.is_directed_acyclic_graph(to_networkx(drawing))


@given(traces(), st.sets(st.sampled_from(["a", "a.b", "d", "d.e"])))
def test_closing_modules_keeps_which_vertices_lead_where(trace: TraceGraph, opened: set[str]) -> None:
    drawing = trace_drawing(trace, opened)
    drawn = to_networkx(drawing)
    for source, target in trace.to_networkx().edges:
        if source in trace and target in trace:
            assert nx.has_path(drawn, drawing.by_member[source], drawing.by_member[target])


def test_all_modules_open_shows_every_operator_call() -> None:
    trace = staged()
    drawing = trace_drawing(trace, trace.modules)
    assert [v.kind for v in drawing.vertices].count("operator") == len(trace)
    assert len(drawing.clusters) == sum(1 for path in trace.modules if path)


def test_all_modules_closed_shows_one_box_for_what_they_hold() -> None:
    drawing = trace_drawing(staged(), ())
    assert [v.key for v in drawing.vertices] == ["x", "stem", "stages", "head", "output_0"]


@pytest.mark.parametrize("trace", [staged(), staged(6, 8), demonet(), stacked_unets()])
def test_a_graph_opens_within_its_budget_or_as_closed_as_can_be(trace: TraceGraph) -> None:
    drawing = trace_drawing(trace, opening(trace, budget=12))
    ports = 2
    assert len(drawing) - ports > 1
    assert len(drawing) - ports <= max(12, len(trace_drawing(trace, opening(trace, budget=0))) - ports)


def test_a_module_around_everything_is_opened() -> None:
    body = [Vertex(f"v{i}", f"v{i}", "relu", (f"v{i - 1}" if i else "x",), scope=("net",)) for i in range(60)]
    trace = TraceGraph("deep", (Input("x"),), tuple(body), (Output("y", "v59"),))
    assert opening(trace, budget=10) == {"net"}


def test_a_module_called_twice_is_drawn_twice_and_opens_as_one() -> None:
    one = [Vertex(i, i, "relu", (s,), scope=("m",)) for i, s in (("a", "x"), ("b", "a"))]
    between = Vertex("c", "c", "relu", ("b",))
    two = [Vertex(i, i, "relu", (s,), scope=("m",)) for i, s in (("d", "c"), ("e", "d"))]
    trace = TraceGraph("twice", (Input("x"),), (*one, between, *two), (Output("y", "e"),))

    closed = [v for v in trace_drawing(trace, ()).vertices if v.kind == "module"]
    assert [(v.key, v.module) for v in closed] == [("m", "m"), ("m#2", "m")]
    assert [c.key for c in trace_drawing(trace, {"m"}).clusters] == ["m", "m#2"]
    assert calls(trace)["e"][0].number == 1


def test_one_tensor_is_one_on_an_arrow_and_two_when_one_operator_reads_it_twice() -> None:
    vertices = (
        Vertex("a", "a", "relu", ("x",)),
        Vertex("b", "b", "relu", ("a",), scope=("m",)),
        Vertex("c", "c", "add", ("b", "a"), scope=("m",)),
        Vertex("d", "d", "add", ("c", "c")),
    )
    trace = TraceGraph("arrows", (Input("x"),), vertices, (Output("y", "d"),))
    drawing = trace_drawing(trace, ())
    many = {(e.source, e.target): e.multiplicity for e in drawing.edges}
    at = drawing.by_member
    assert many[at["a"], at["b"]] == 1
    assert many[at["c"], at["d"]] == 2


def test_the_cell_of_an_unknown_module_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="has fewer than two operators"):
        cell_drawing(staged(), "no.such.module")
