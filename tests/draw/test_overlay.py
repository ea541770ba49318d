from __future__ import annotations

import json
from pathlib import Path

import pytest

from nasviz.draw import (
    GraphView,
    Overlay,
    cost_overlay,
    plan_overlay,
    saliency_overlay,
    segment_view,
    state_overlay,
    trace_view,
)
from nasviz.draw.layout_cache import LayoutCache
from nasviz.draw.packing import pack_bins
from nasviz.draw.palette import BINS, CIVIDIS, STATES, VIRIDIS, to_bins
from nasviz.graph import SearchSpace, search_space
from tests.draw.networks import staged
from tests.graph.networks import demonet

SPACE = search_space(demonet())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> LayoutCache:
    return LayoutCache(tmp_path_factory.mktemp("layouts"))


@pytest.fixture(scope="module")
def operators(cache: LayoutCache) -> GraphView:
    return trace_view(SPACE.trace, space=SPACE, cache=cache)


@pytest.fixture(scope="module")
def segments(cache: LayoutCache) -> GraphView:
    return segment_view(SPACE, cache=cache)


def marked(view: GraphView, overlay: Overlay, state: str) -> set[str]:
    return {view.by_id[i].key for i, states in overlay.states.items() if state in states}


def test_a_plan_marks_what_goes_and_what_changes(operators: GraphView) -> None:
    overlay = plan_overlay(operators, SPACE.plan([1, 2, 10]))
    assert marked(operators, overlay, "erased") == {"conv2", "bn2", "maxpool", "conv3", "bn3", "conv8", "bn8"}
    assert marked(operators, overlay, "bypassed") == {"concat", "add2"}
    assert marked(operators, overlay, "sliced") == {"conv6"}
    note = overlay.notes[operators.id_of("conv6") or ""]
    assert note == "conv6.weight loses columns 0-175"


def test_a_plan_that_erases_nothing_marks_nothing(operators: GraphView) -> None:
    overlay = plan_overlay(operators, SPACE.plan([]))
    assert (overlay.states, overlay.notes) == ({}, {})


def test_a_closed_module_tells_how_much_of_it_goes(cache: LayoutCache) -> None:
    space = search_space(staged())
    view = trace_view(space.trace, (), space=space, cache=cache)
    gone = next(s.id for s in space.removable if "shortcut" in s.name)
    overlay = plan_overlay(view, space.plan([gone]))
    (note,) = overlay.notes.values()
    assert note.startswith("1 of 20 operators erased")


def test_scores_colour_the_members_of_structures_and_nothing_else(operators: GraphView) -> None:
    scores = {s.id: float(s.id) for s in SPACE.removable}
    overlay = saliency_overlay(operators, SPACE, scores)
    coloured = {operators.by_id[i].key for i in overlay.bins}
    assert coloured == {v for s in SPACE.removable for v in s.vertices}
    assert overlay.bins[operators.id_of("conv2") or ""] == 0
    assert overlay.bins[operators.id_of("conv8") or ""] == BINS - 1
    assert overlay.limits == ("1", "10")


def test_a_score_that_is_no_number_has_no_colour(segments: GraphView) -> None:
    overlay = saliency_overlay(segments, SPACE, {1: float("nan"), 2: 0.5})
    assert [segments.by_id[i].key for i in overlay.bins] == ["2"]


def test_costs_add_up_in_closed_modules(cache: LayoutCache) -> None:
    trace = staged()
    closed = trace_view(trace, (), cache=cache)
    overlay = cost_overlay(closed, trace, "macs")
    assert overlay.bins[closed.id_of("stages") or ""] == BINS - 1
    assert "x" not in {closed.by_id[i].key for i in overlay.bins}


def test_overlays_lie_over_each_other(segments: GraphView) -> None:
    scores = saliency_overlay(segments, SPACE, {1: 0.1, 2: 0.2})
    chosen = state_overlay(segments, SPACE.structure(1).vertices, "selected")
    both = scores | chosen | state_overlay(segments, ["conv2"], "protected")
    assert both.bins == scores.bins
    assert both.states[segments.id_of("conv2") or ""] == ("selected", "protected")
    assert [name for name, _ in both.legend] == ["selected", "protected"]


def test_an_overlay_of_a_large_graph_is_a_few_kilobytes(cache: LayoutCache) -> None:
    space = search_space(staged(stages=4, blocks=12))
    view = trace_view(space.trace, space.trace.modules, space=space, cache=cache)
    overlay = saliency_overlay(view, space, {s.id: 1 / (1 + s.id) for s in space.removable})
    assert len(json.dumps(overlay.payload()["bins"])) < 10 * len(view.drawing)


def test_a_packed_overlay_names_every_colour_state_and_note(segments: GraphView) -> None:
    scores = saliency_overlay(segments, SPACE, {1: 0.1, 2: 0.2})
    overlay = scores | state_overlay(segments, ["conv2", "conv3"], "selected")
    ids = [v.id for v in segments.drawing.vertices]
    packed = overlay.packed(ids)
    assert "bins" not in packed
    assert packed["packed"] == pack_bins([overlay.bins.get(i, 255) for i in ids])
    binned = [i for i in ids if i in overlay.bins]
    notes = [packed["notes"]["prefix"] + text for text in packed["notes"]["binned"]]
    assert dict(zip(binned, notes, strict=True)) | packed["notes"]["others"] == overlay.notes
    assert set(packed["states"]["s-selected"].split()) == set(overlay.states)


def test_an_unknown_state_is_refused(segments: GraphView) -> None:
    with pytest.raises(KeyError):
        state_overlay(segments, ["conv2"], "no such state")


def test_bins_keep_the_order_and_use_the_whole_scale() -> None:
    values = {str(i): float(i) ** 6 for i in range(40)}
    bins = to_bins(values)
    assert [bins[str(i)] for i in range(40)] == sorted(bins.values())
    assert set(bins.values()) == set(range(BINS))
    assert set(to_bins(dict.fromkeys("abc", 1.0)).values()) == {0}
    assert to_bins({}) == {}


@pytest.mark.parametrize("scale", [CIVIDIS, VIRIDIS])
def test_scales_grow_in_lightness_so_that_a_grey_print_keeps_their_order(scale: tuple[str, ...]) -> None:
    def lightness(colour: str) -> float:
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    assert len(scale) == BINS
    assert [lightness(c) for c in scale] == sorted(lightness(c) for c in scale)


def test_no_two_states_share_both_colour_and_line() -> None:
    assert len({(m.light, m.line) for m in STATES.values()}) == len(STATES)
    style = (Path(__file__).parents[2] / "nasviz/draw/viewer/graph.css").read_text()
    for state in set(STATES) - {"ancestor", "descendant"}:
        assert f".node.s-{state} " in style


def test_a_view_is_plain_data_with_a_record_and_a_row_for_each_vertex(segments: GraphView) -> None:
    payload = json.loads(json.dumps(segments.payload()))
    assert len(payload["vertices"]) == len(segments.table()) == len(segments.drawing)
    assert len(payload["edges"]) == SPACE.segments.num_edges + 2
    rows = {row["name"]: row for row in segments.table()}
    assert rows["conv2-bn2"]["parameters"] == 25_608
    assert rows["conv2-bn2"]["removal"] == "can be erased (structure 1)"
    assert str(rows["conv6-bn6"]["removal"]).startswith("stays: ")
    assert len({tuple(row) for row in segments.table()}) == 1


def test_every_operator_says_why_it_stays_or_that_it_can_go(operators: GraphView) -> None:
    space: SearchSpace = SPACE
    for drawn, told in zip(operators.drawing.vertices, operators.records, strict=True):
        if drawn.kind == "operator":
            text = dict(told.fields)["Removal"]
            why = space.why_not(drawn.key)
            assert text == (f"stays: {why}" if why else text)
            assert text.startswith("stays: " if why else "can be erased")
