from __future__ import annotations

import json

import plotly.graph_objects as go
import pytest

from nasviz.draw.charts import Point, curves_chart, pareto_chart, saliency_chart, savings_chart
from nasviz.graph import search_space
from tests.draw.test_live_frame import run
from tests.graph.networks import demonet

SPACE = search_space(demonet())


def test_the_line_of_a_pareto_chart_joins_what_no_other_point_beats() -> None:
    points = [Point("a", 1, 0.5), Point("b", 2, 0.7), Point("c", 3, 0.6), Point("d", float("nan"), 0.9)]
    figure = pareto_chart(points, cost="MACs", gain="accuracy")
    line, markers = figure.data
    assert list(line.x) == [1, 2]
    assert list(markers.customdata) == ["a", "b", "c"]


@pytest.mark.parametrize("gains", [[0.814], [0.5, 1.0], [0.0, 0.2]])
def test_points_have_room_around_them_and_no_share_is_far_above_one(gains: list[float]) -> None:
    points = [Point(str(i), 470_698, gain) for i, gain in enumerate(gains)]
    layout = pareto_chart(points, cost="MACs", gain="accuracy").layout
    low, high = layout.xaxis.range
    assert low < 0.97 * 470_698 < 1.03 * 470_698 < high
    low, high = layout.yaxis.range
    assert 0 <= low <= min(gains) <= max(gains) < high
    assert high <= 1 or high - 1 < 0.06 * (high - low)  # less than any distance of two ticks
    assert high - low < 1.0 or len(gains) > 1


def test_series_differ_by_symbol_and_not_by_colour_alone() -> None:
    points = [Point(str(i), i, 0.5, series=f"optimizer {i}") for i in range(5)]
    figure = pareto_chart(points, cost="MACs", gain="accuracy")
    assert len({trace.marker.symbol for trace in figure.data[1:]}) == 5
    lines = curves_chart({f"run {i}": run(50) for i in range(3)}, "loss").data
    assert len({trace.line.dash for trace in lines if trace.mode == "lines"}) == 3


def test_kept_and_saved_add_up_to_the_full_network() -> None:
    kept, saved = savings_chart(SPACE.plan([1, 2, 10])).data
    assert [a + b for a, b in zip(kept.x, saved.x, strict=True)] == pytest.approx([1, 1])
    assert "447k of 817k" in kept.text


def test_the_most_redundant_structure_is_on_top_and_what_goes_is_hatched() -> None:
    scores = {s.id: float(s.id) for s in SPACE.removable}
    bars = saliency_chart(SPACE, scores, selected=[1]).data[0]
    assert list(bars.customdata) == [10, 9, 6, 5, 2, 1]  # bars are drawn from below
    assert list(bars.marker.pattern.shape) == ["", "", "", "", "", "/"]


@pytest.mark.parametrize("name", ["<b>x</b>", "a & b", "x\u202ey\x00"])
def test_a_name_is_text_and_no_markup(name: str) -> None:
    figures: list[go.Figure] = [
        pareto_chart([Point(name, 1, 0.5, series=name, key="k")], cost="MACs", gain="accuracy", title=name),
        curves_chart({name: run(20)}, "loss", title=name),
    ]
    for figure in figures:
        text = json.dumps(figure.to_plotly_json(), default=str)
        assert "<b>" not in text
        assert "\\u202e" not in text
