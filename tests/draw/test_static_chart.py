"""Static charts show the points of their figure where its axes say."""

from __future__ import annotations

from xml.etree import ElementTree

import plotly.graph_objects as go
import pytest

from nasviz.draw.charts import empty_chart, panels
from nasviz.draw.static_chart import static_svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(figure: go.Figure) -> tuple[list[list[tuple[float, float]]], list[str]]:
    """Return the points of each line, and all texts."""
    root = ElementTree.fromstring(static_svg(figure))
    lines = [line.get("points", "") for line in root.iter(f"{SVG}polyline")]
    points = [[tuple(map(float, pair.split(","))) for pair in line.split()] for line in lines]
    return points, [text.text or "" for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize(("kind", "x"), [("linear", [0, 1, 2]), ("log", [0.01, 1, 100])])
def test_equal_steps_of_an_axis_are_equal_steps_of_the_drawing(kind: str, x: list[float]) -> None:
    figure = empty_chart("", "μ", "share")
    figure.add_scatter(x=x, y=[0.1, 0.5, 0.9], mode="lines")
    figure.update_xaxes(type=kind)
    figure.update_yaxes(tickformat=".0%", range=[0, 1])
    ((first, second, third),), texts = drawn(figure)
    assert second[0] - first[0] == pytest.approx(third[0] - second[0], abs=0.2)
    assert first[1] - second[1] == pytest.approx(second[1] - third[1], abs=0.2)
    assert {"μ", "share", "20%", "100%"} <= set(texts)
    assert ("10⁻²" in texts) == (kind == "log")


def test_charts_with_matching_axes_share_their_scale() -> None:
    figure = panels(["a", "b"], "step", "weight", columns=2, is_shared=True)
    figure.add_scatter(x=[0, 10], y=[0, 1], mode="lines", name="p", row=1, col=1)
    figure.add_scatter(x=[0, 10], y=[0, 4], mode="lines", name="q", row=1, col=2)
    (left, right, *legend), texts = drawn(figure)
    assert left[0][1] - left[1][1] == pytest.approx((right[0][1] - right[1][1]) / 4, abs=0.2)
    assert {"a", "b", "p", "q"} <= set(texts)
    assert len(legend) == 2


def test_what_has_no_place_is_left_out_and_names_are_text() -> None:
    figure = empty_chart("", "x", "y")
    figure.add_scatter(x=[0, 1, 2], y=[0.0, float("nan"), 1e-3], name="<script>", mode="lines+markers")
    figure.add_scatter(x=["a", "b"], y=[1, 2], name="b", mode="markers", xaxis="x2")
    figure.update_yaxes(type="log")
    figure.update_layout(xaxis2={"domain": [0, 1]})
    text = static_svg(figure)
    assert ElementTree.fromstring(text) is not None
    assert "<script" not in text
    assert text.count("<circle") == 3 + 1  # one of three, two of the second trace, one in the legend


def test_a_figure_without_points_is_an_empty_drawing() -> None:
    assert drawn(empty_chart("", "x", "y")) == ([], [])
