"""Charts of several runs: curves side by side, and sweeps with published results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from nasviz.draw.charts import DASHES, SERIES, SYMBOLS, Point, escape_tags, padded_range, panels, pareto_chart
from nasviz.runs import Tail

__all__ = ["comparison_chart", "sweep_chart"]

MAX_POINTS = 800
TITLES = {"loss": "loss", "accuracy": "accuracy", "zero_groups": "structures at zero", "lr": "learning rate"}


def comparison_chart(runs: Mapping[str, Tail], columns: Sequence[str] = ("loss", "accuracy")) -> go.Figure:
    """Return one chart per column, with the curves of several runs over steps and a shared legend.

    Lines show training, markers the full network on the validation images. Clicking a legend entry hides its
    run in all charts.
    """
    figure = panels([TITLES[column] for column in columns], "step", "")
    for number, (name, tail) in enumerate(runs.items()):
        for place, column in enumerate(columns, 1):
            _draw(figure, number, escape_tags(name), tail, column, place)
    figure.update_layout(height=420 + 20 * len(runs))
    return figure


def sweep_chart(
    points: Sequence[Point], printed: Sequence[Point], *, cost: str, source: str = ""
) -> go.Figure:
    """Return a chart of accuracy over cost for the runs of a sweep, with published results as hollow markers.

    Args:
        points: One point per run; its key is returned when it is selected.
        printed: Published results.
        cost: Title of the horizontal axis.
        source: Name of the publication.
    """
    figure = pareto_chart(points, cost=cost, gain="accuracy of the sub-network")
    names = list(dict.fromkeys(p.series for p in points))
    for series in dict.fromkeys(p.series for p in printed):
        number = names.index(series) if series in names else len(names)
        members = [p for p in printed if p.series == series]
        figure.add_scatter(
            x=[p.cost for p in members],
            y=[p.gain for p in members],
            text=[f"{escape_tags(p.name)}<br>{p.cost:,.0f} · {p.gain:.2%}" for p in members],
            mode="markers",
            name=escape_tags(f"{series}, {source}" if series else source),
            hovertemplate="%{text}<extra></extra>",
            marker={
                "size": 12,
                "color": SERIES[number % len(SERIES)],
                "symbol": f"{SYMBOLS[number % len(SYMBOLS)]}-open",
                "line": {"width": 2},
            },
        )
    figure.update_xaxes(range=padded_range([p.cost for p in (*points, *printed)]))
    figure.update_yaxes(range=padded_range([p.gain for p in (*points, *printed)], most=1.0))
    return figure


def _draw(figure: go.Figure, number: int, name: str, tail: Tail, column: str, place: int) -> None:
    colour, stride = SERIES[number % len(SERIES)], max(1, len(tail.steps) // MAX_POINTS)
    figure.add_scatter(
        x=tail.steps["step"][::stride].tolist(),
        y=tail.steps[column][::stride].tolist(),
        mode="lines",
        name=name,
        legendgroup=name,
        showlegend=place == 1,
        line={"color": colour, "width": 1.5, "dash": DASHES[number // len(SERIES) % len(DASHES)]},
        row=1,
        col=place,
    )
    checked = [e for e in tail.evaluations if e.network == "full" and column in ("loss", "accuracy")]
    if checked:
        figure.add_scatter(
            x=[e.step for e in checked],
            y=[getattr(e, column) for e in checked],
            mode="markers",
            name=f"{name}, validation",
            legendgroup=name,
            showlegend=False,
            marker={"color": colour, "symbol": SYMBOLS[number % len(SYMBOLS)], "size": 8},
            row=1,
            col=place,
        )
