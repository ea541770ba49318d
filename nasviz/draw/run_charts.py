"""Charts of runs: curves, sweeps, and the ablation of sparse optimizers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from nasviz.catalog import ACCURACY, Metric, metric_of
from nasviz.draw.charts import DASHES, SERIES, SYMBOLS, Point, escape_tags, padded_range, panels, pareto_chart
from nasviz.runs import Tail
from nasviz.runs.ablation import MEASURES, AblationPoint, curve
from nasviz.runs.records import column as column_of

__all__ = ["ablation_chart", "comparison_chart", "sweep_chart"]

MAX_POINTS = 800
TITLES = {"loss": "loss", "accuracy": "accuracy", "zero_groups": "structures at zero", "lr": "learning rate"}
TITLES |= {"objective": "loss with penalty", "penalty": "penalty"}


def comparison_chart(runs: Mapping[str, Tail], columns: Sequence[str] = ("loss", "accuracy")) -> go.Figure:
    """Return one chart per column, with the curves of several runs over steps and a shared legend.

    Lines show training, markers the full network on the validation images. Clicking a legend entry hides its
    run in all charts.
    """
    metrics = {metric_of(tail.facts).title for tail in runs.values()}
    titles = TITLES | {"accuracy": ", ".join(sorted(metrics)) or TITLES["accuracy"]}
    figure = panels([titles[column] for column in columns], "step", "")
    for number, (name, tail) in enumerate(runs.items()):
        for place, column in enumerate(columns, 1):
            _draw(figure, number, escape_tags(name), tail, column, place)
    figure.update_layout(height=420 + 20 * len(runs))
    return figure


def sweep_chart(
    points: Sequence[Point],
    printed: Sequence[Point],
    *,
    cost: str,
    source: str = "",
    metric: Metric = ACCURACY,
) -> go.Figure:
    """Return a chart of the metric over cost for the runs of a sweep, with published results hollow.

    Args:
        points: One point per run; its key is returned when it is selected.
        printed: Published results.
        cost: Title of the horizontal axis.
        source: Name of the publication.
        metric: Metric of the runs.
    """
    figure = pareto_chart(points, cost=cost, gain=f"{metric.title} of the sub-network", metric=metric)
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
    if metric.is_share:
        figure.update_yaxes(range=padded_range([p.gain for p in (*points, *printed)], most=1.0))
    return figure


def _draw(figure: go.Figure, number: int, name: str, tail: Tail, column: str, place: int) -> None:
    colour, stride = SERIES[number % len(SERIES)], max(1, len(tail.steps) // MAX_POINTS)
    figure.add_scatter(
        x=tail.steps["step"][::stride].tolist(),
        y=column_of(tail.steps, column)[::stride].tolist(),
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


NAMES = {"sgd": "SGD", "adam": "Adam", "hapg": "HAPG", "adamhapg": "AdamHAPG"}
NAMES |= {"lasso": "lasso", "gl": "group lasso", "sgl": "sparse group lasso"}
TOTALS = {"features": 64, "neurons": 60}
"""Maximum of each measure that is a count."""


def ablation_chart(
    points: Sequence[AblationPoint], *, thresholds: tuple[float, float] = (0.0, 1e-3)
) -> go.Figure:
    """Return plots of the measures over lambda, with a line per optimizer and regularizer.

    Args:
        points: Results of any number of seeds; lines show means, error bars standard deviations.
        thresholds: Thresholds for the proximal methods, and for SGD and Adam.
    """
    figure = make_subplots(2, 2, subplot_titles=[*map(_break_title, MEASURES.values())], vertical_spacing=0.2)
    for number, series in enumerate(dict.fromkeys(point.series for point in points)):
        optimizer, regulariser = series.split(", ")
        threshold = thresholds[optimizer in ("sgd", "adam")]
        for place, measure in enumerate(MEASURES):
            found = curve(points, series, measure, threshold)
            figure.add_scatter(
                x=[strength for strength, _, _ in found],
                y=[mean for _, mean, _ in found],
                error_y={"array": [spread for _, _, spread in found], "thickness": 1},
                name=f"{NAMES[optimizer]}, {NAMES[regulariser]}",
                legendgroup=series,
                showlegend=place == 0,
                mode="lines+markers",
                line={"color": SERIES[number % len(SERIES)], "dash": DASHES[number % len(DASHES)]},
                marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 8},
                row=place // 2 + 1,
                col=place % 2 + 1,
            )
    figure.update_xaxes(type="log", exponentformat="power", dtick=1)
    figure.update_xaxes(title={"text": "λ", "standoff": 4}, row=2)
    for place, measure in enumerate(MEASURES):
        row, col = place // 2 + 1, place % 2 + 1
        if measure in TOTALS:
            fewest = min((getattr(point, measure) for point in points), default=TOTALS[measure])
            figure.update_yaxes(**_count_axis(fewest, TOTALS[measure]), row=row, col=col)
        else:
            figure.update_yaxes(tickformat=".0%", row=row, col=col)
    figure.update_layout(
        template="plotly_white", height=720, margin={"l": 50, "r": 20, "t": 50, "b": 40}, font={"size": 13}
    )
    figure.update_layout(legend={"orientation": "h", "y": -0.16})
    return figure


def _count_axis(fewest: int, total: int) -> dict[str, Any]:
    """Return the layout of an integer axis that ends at the total, with about five ticks."""
    stride = max(1, math.ceil((total - fewest) / 5))
    return {"range": [fewest - stride, total + 0.3 * stride], "dtick": stride, "tick0": total}


def _break_title(title: str) -> str:
    """Return the title in two lines: on narrow screens longer titles of adjacent plots would overlap."""
    words = title.split()
    at = min(range(1, len(words)), key=lambda i: abs(len(" ".join(words[:i])) - len(title) / 2))
    return "<br>".join((" ".join(words[:at]), " ".join(words[at:])))
