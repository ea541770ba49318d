from __future__ import annotations

import json

import pytest

from nasviz.draw.charts import Point, pareto_chart


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


@pytest.mark.parametrize("name", ["<b>x</b>", "a & b", "x\u202ey\x00"])
def test_a_name_is_text_and_no_markup(name: str) -> None:
    figure = pareto_chart([Point(name, 1, 0.5, series=name, key="k")], cost="MACs", gain="x", title=name)
    text = json.dumps(figure.to_plotly_json(), default=str)
    assert "<b>" not in text
    assert "\\u202e" not in text
