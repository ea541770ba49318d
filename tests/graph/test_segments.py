"""Algorithm 2: the golden segment graphs of the documents, and what every segment graph promises."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasviz.graph import TraceGraph, segment
from tests.graph.networks import demonet, stacked_unets
from tests.graph.random_networks import random_network

GOLDEN_STACKED_UNETS = [
    "conv0-bn1-relu2-conv3",
    "conv39-bn40-relu41",
    "pool4-conv5-relu6-conv7-relu8-bn9",
    "add34",
    "conv42-conv43-relu44",
    "add71",
    "pool10-conv11-conv12",
    "add25",
    "relu35-conv36-relu37-bn38",
    "conv45-relu46-bn47-conv48-conv49",
    "add62",
    "relu72-conv73-relu74-bn75",
    "pool13-conv14-conv15-resize19",
    "add20",
    "conv26-conv27-bn28-relu29-resize33",
    "add76",
    "conv50-conv51-conv52-resize56",
    "add57",
    "conv63-conv64-bn65-relu66-resize70",
    "resize24",
    "gap-flatten-linear9",
    "resize61",
]


def test_stacked_unets_grow_the_published_segment_graph() -> None:
    segments = segment(stacked_unets())
    assert [s.name for s in segments] == GOLDEN_STACKED_UNETS
    assert len(segments) == 22
    assert segments.to_networkx().number_of_edges() == 30


def test_demonet_grows_thirteen_segments_in_breadth_first_order() -> None:
    segments = segment(demonet())
    assert len(segments) == 13
    assert segments.num_edges == 16
    assert [s.name for s in segments][:5] == [
        "conv1-bn1-relu1",
        "conv2-bn2",
        "maxpool-conv3-bn3",
        "avgpool",
        "concat",
    ]
    assert [s.id for s in segments if s.is_joint] == [4, 8, 11]
    assert segments.of("bn6").id == 7


@given(st.integers(0, 10_000))
def test_segments_partition_the_vertices_and_contract_to_a_dag(seed: int) -> None:
    trace = random_network(seed)
    segments = segment(trace)
    members = [v for s in segments for v in s.vertices]
    assert sorted(members) == sorted(v.id for v in trace)
    assert nx.is_directed_acyclic_graph(segments.to_networkx())
    for s in segments:
        assert not s.is_joint or len(s.vertices) == 1
        assert all(len(trace.consumers[v]) == 1 for v in s.vertices[:-1])
        # Maximal: nothing that could continue the run was left out.
        follower = trace.consumers[s.vertices[-1]]
        assert s.is_joint or len(follower) != 1 or follower[0] not in trace or trace[follower[0]].is_joint


@given(st.integers(0, 10_000))
def test_the_trace_graph_survives_its_json(seed: int) -> None:
    trace = random_network(seed)
    assert TraceGraph.from_json(trace.to_json()) == trace


@pytest.mark.parametrize("build", [demonet, stacked_unets])
def test_edges_between_segments_are_the_crossing_edges_of_the_trace(build) -> None:
    segments = segment(build())
    crossing = {
        (segments.of(source).id, segments.of(v.id).id)
        for v in segments.trace
        for source in v.inputs
        if source in segments.trace and segments.of(source).id != segments.of(v.id).id
    }
    assert crossing == {(s.id, n) for s in segments for n in s.successors}
