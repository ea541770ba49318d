"""What a person is offered to collapse is what can be collapsed, and the rest says why not."""

from __future__ import annotations

import dataclasses
import time

import pytest

from nasviz.errors import GraphError
from nasviz.graph import Input, Output, TraceGraph, Vertex, collapsible, search_space
from tests.graph.test_blocks import with_reduction


def test_a_class_is_offered_with_its_modules() -> None:
    (offer,) = collapsible(with_reduction())
    assert (offer.name, offer.paths, offer.reason) == ("FactorizedReduce", ("reduce",), None)


def test_a_class_that_cannot_be_one_vertex_says_why_as_collapsing_it_does() -> None:
    trace = with_reduction()
    wide = tuple(dataclasses.replace(v, scope=("reduce",)) if v.id == "plain" else v for v in trace)
    trace = dataclasses.replace(trace, vertices=wide)
    (offer,) = collapsible(trace)
    assert offer.reason == "2 values of reduce are read outside it"
    with pytest.raises(GraphError):
        search_space(trace, collapse=[offer.name])


def nested(depth: int, length: int) -> TraceGraph:
    """A chain of vertices, each `depth` modules deep, every inner module of a class of its own."""
    vertices, before = [], "x"
    for i in range(length):
        scope = tuple(".".join(["a", *(f"{i}_{d}" for d in range(n))]) for n in range(depth))
        vertices.append(Vertex(f"v{i}", f"v{i}", "relu", (before,), scope=scope))
        before = f"v{i}"
    modules = {path: path for v in vertices for path in v.scope} | {"a": "Block"}
    return TraceGraph("nested", (Input("x"),), tuple(vertices), (Output("y", before),), modules=modules)


def test_outermost_modules_of_a_class_count_and_single_vertices_are_no_offer() -> None:
    assert [(c.name, c.paths) for c in collapsible(nested(3, 4))] == [("Block", ("a",))]
    assert len(search_space(nested(3, 4), collapse=["Block"]).segments) == 1


def test_files_that_hold_many_modules_are_looked_through_in_time() -> None:
    """A stranger's file may name a class for each of its 20,000 operators, and put all into one module."""
    trace = nested(8, 5000)
    start = time.process_time()
    collapsible(trace)
    space = search_space(trace, collapse=["Block"])
    assert space.segments.collapsed == {"a": tuple(v.id for v in trace)}
    assert time.process_time() - start < 5
