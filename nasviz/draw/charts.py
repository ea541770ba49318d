"""Charts that do not change while they are looked at: Pareto fronts.

Live curves are drawn by the live view instead: a Plotly chart that is replaced twice a second flickers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from nasviz.catalog import ACCURACY, Metric
from nasviz.draw.labels import clean, count
from nasviz.runs import pareto_front

__all__ = [
    "Point",
    "empty_chart",
    "escape_tags",
    "padded_range",
    "panels",
    "pareto_chart",
]

SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b7280")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "x")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True, slots=True)
class Point:
    """One network in a Pareto chart."""

    name: str
    cost: float
    gain: float
    series: str = ""
    """Name of the series, e.g. a method; its points share colour and symbol."""
    key: str = ""
    """Custom data of the point, returned when it is selected."""


def pareto_chart(
    points: Sequence[Point], *, cost: str, gain: str, title: str = "", metric: Metric = ACCURACY
) -> go.Figure:
    """Return a chart of accuracy over cost, with the Pareto front as a dotted line.

    Args:
        points: One point per network; those with a NaN are omitted.
        cost: Title of the horizontal axis; lower is better.
        gain: Title of the vertical axis.
        title: Title of the chart.
        metric: Metric that the gains are values of.
    """
    shown = [p for p in points if p.cost == p.cost and p.gain == p.gain]
    front = [shown[i] for i in pareto_front([p.cost for p in shown], [metric.sign * p.gain for p in shown])]
    figure = empty_chart(title, cost, gain)
    figure.add_scatter(
        x=[p.cost for p in front],
        y=[p.gain for p in front],
        mode="lines",
        name="Pareto front",
        line={"color": "#8a94a6", "width": 1.5, "dash": "dot", "shape": "hv"},
        hoverinfo="skip",
    )
    for number, series in enumerate(dict.fromkeys(p.series for p in shown)):
        members = [p for p in shown if p.series == series]
        figure.add_scatter(
            x=[p.cost for p in members],
            y=[p.gain for p in members],
            customdata=[p.key or p.name for p in members],
            text=[f"{clean(p.name)}<br>{count(p.cost)} · {metric.text(p.gain)}" for p in _escaped(members)],
            mode="markers",
            name=escape_tags(series) or "networks",
            hovertemplate="%{text}<extra></extra>",
            marker={
                "size": 11,
                "color": SERIES[number % len(SERIES)],
                "symbol": SYMBOLS[number % len(SYMBOLS)],
                "line": {"width": 1, "color": "#ffffff"},
            },
        )
    figure.update_xaxes(tickformat="~s", range=padded_range([p.cost for p in shown]))
    if metric.is_share:
        figure.update_yaxes(tickformat=",.1~%", range=padded_range([p.gain for p in shown], most=1.0))
    return figure


def padded_range(values: Sequence[float], most: float = math.inf) -> list[float] | None:
    """Return an axis range with margins around the values, not below zero and with no tick above `most`."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return None
    low, high = min(known), max(known)
    margin = max(0.12 * (high - low), 0.04 * abs(high), 1e-9)
    start, end = max(0.0, low - margin), high + margin
    return [start, end if end <= most else most + 0.05 * (most - start)]


def empty_chart(title: str, x: str, y: str) -> go.Figure:
    """Return an empty chart that suits light and dark themes."""
    look: dict[str, Any] = {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 10, "r": 10, "t": 40 if title else 10, "b": 10},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "hoverlabel": {"align": "left"},
    }
    figure = go.Figure(layout=look)
    figure.update_layout(title={"text": escape_tags(title)})
    figure.update_xaxes(
        title={"text": x}, gridcolor="rgba(128,128,128,0.18)", zeroline=False, automargin=True
    )
    figure.update_yaxes(
        title={"text": y}, gridcolor="rgba(128,128,128,0.18)", zeroline=False, automargin=True
    )
    return figure


def panels(titles: Sequence[str], x: str, y: str, *, columns: int = 0, is_shared: bool = False) -> go.Figure:
    """Return empty charts in a grid, with a shared legend below them.

    Args:
        titles: Title of each chart.
        x: Title of the horizontal axes, in the last row.
        y: Title of the vertical axes, in the first column.
        columns: Charts per row; 0 for all.
        is_shared: Whether all charts have the same ranges.
    """
    columns = columns or len(titles)
    rows = -(-len(titles) // columns)
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=list(titles),
        shared_xaxes=is_shared,
        shared_yaxes=is_shared,
        horizontal_spacing=0.03 if is_shared else 0.07,
        vertical_spacing=0.32 / (rows + 1),
    )
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 10, "r": 10, "t": 30, "b": 104},
        legend={
            "orientation": "h",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "x": 0,
            "entrywidth": 0,
        },
        hoverlabel={"align": "left", "namelength": -1},
    )
    grid = "rgba(128,128,128,0.18)"
    figure.update_xaxes(gridcolor=grid, zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor=grid, zeroline=False, automargin=True)
    figure.update_xaxes(title={"text": x}, row=rows)
    figure.update_yaxes(title={"text": y}, col=1)
    return figure


def _escaped(points: Sequence[Point]) -> list[Point]:
    return [Point(escape_tags(p.name), p.cost, p.gain, p.series, p.key) for p in points]


def escape_tags(name: str) -> str:
    """Escape a text for Plotly, which interprets a few HTML tags."""
    return clean(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
