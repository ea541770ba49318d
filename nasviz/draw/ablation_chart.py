"""The four plots of the ablation on digits over lambda (SparseNAS, figure 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from nasviz.draw.charts import DASHES, SERIES, SYMBOLS
from nasviz.runs.ablation import MEASURES, AblationPoint, curve

__all__ = ["ablation_chart"]

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
