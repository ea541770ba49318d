"""Lessons tell what the one implementation does: the same segments, the same selection, the same plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nasviz.draw import GraphView, segment_view, trace_view
from nasviz.draw.geometry import chance_chart
from nasviz.draw.lessons import construction_frames, growth_frames, selection_frames
from nasviz.graph import SearchSpace, blocks, chances, growth, search_space
from tests.graph.networks import demonet

FIGURE_3 = {1: 0.4, 2: 0.1, 5: 0.8, 6: 0.9, 9: 0.3, 10: 0.2}


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return search_space(demonet())


@pytest.fixture(scope="module")
def view(space: SearchSpace) -> GraphView:
    return trace_view(space.trace, frozenset())


def test_growth_ends_each_segment_once_with_the_members_it_was_seen_to_gather(space: SearchSpace) -> None:
    gathered: dict[int, list[str]] = {}
    ended = {}
    for step in growth(blocks(space.trace)):
        if step.event == "ends":
            ended[step.segment] = step.run
            assert step.reason
        else:
            gathered.setdefault(step.segment, []).append(step.unit)
    assert {i: tuple(run) for i, run in gathered.items()} == ended
    assert [ended[s.id] for s in space.segments] == [s.vertices for s in space.segments]


def test_at_the_end_of_growth_every_vertex_is_coloured(space: SearchSpace, view: GraphView) -> None:
    frames = list(growth_frames(view, space))
    assert set(frames[-1].overlay.bins) == set(view.drawing.by_member.values())
    assert "`conv1`" in frames[0].text


def test_figure_3_is_told_with_the_candidate_that_had_to_stay(space: SearchSpace) -> None:
    frames = list(selection_frames(segment_view(space), space, FIGURE_3, 3))
    assert [frame.text.split("`")[1] for frame in frames] == [
        "maxpool-conv3-bn3",
        "conv8-bn8",
        "conv7-bn7",
        "conv2-bn2",
    ]
    assert ["kept" in frame.text for frame in frames] == [False, False, True, False]


def test_construction_has_its_three_passes(space: SearchSpace, view: GraphView) -> None:
    start, erased, followed, cleared = construction_frames(view, space, space.plan([1, 2, 10]))
    assert {state for states in start.overlay.states.values() for state in states} == {"selected"}
    assert {state for states in erased.overlay.states.values() for state in states} == {"erased"}
    assert "`conv6.weight` loses indices 0-175 of axis 1" in followed.text
    assert "447k" in cleared.text


def test_chances_on_demonet_are_all_counted(space: SearchSpace) -> None:
    found = list(chances(space))
    assert [(c.num_valid, c.num_sets) for c in found] == [
        (1, 1),
        (6, 6),
        (14, 15),
        (16, 20),
        (8, 15),
        (0, 6),
        (0, 1),
    ]
    assert all(c.is_exact for c in found)
    (bars,) = chance_chart(found, space.max_sparsity).data
    assert list(bars.y) == [c.share for c in found]


def test_hostile_names_stay_code() -> None:
    trace = demonet()
    space = search_space(trace)
    odd = "`](javascript:x)<b>"
    vertices = tuple(replace(v, name=odd) if v.id == "conv1" else v for v in trace)
    named = search_space(replace(trace, vertices=vertices))
    first = next(growth_frames(trace_view(named.trace, frozenset()), named))
    assert "`'](javascript:x)<b>`" in first.text
    assert len(space.segments) == len(named.segments)
