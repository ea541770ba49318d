"""Figures of the geometry that Learn explains: half-spaces in the plane, paths of methods, chances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from nasviz.draw.charts import DASHES, SERIES, empty_chart
from nasviz.draw.palette import STATES
from nasviz.graph import Chance

__all__ = ["chance_chart", "halfspace_chart", "paths_chart", "prox_chart"]

REACH = 6.0
"""Half the width of the plane that is shown."""
FAR = 40.0


def chance_chart(chances: Sequence[Chance], max_sparsity: int) -> go.Figure:
    """Share of the sets of K structures that leave the network connected, against K."""
    figure = empty_chart("", "K: structures erased together", "sets that leave the network connected")
    figure.add_bar(
        x=[c.k for c in chances],
        y=[c.share for c in chances],
        text=[f"{c.share:.0%}" for c in chances],
        customdata=[f"{c.num_valid} of {c.num_sets}{'' if c.is_exact else ' drawn'}" for c in chances],
        hovertemplate="K = %{x}: %{customdata}<extra></extra>",
        marker={"color": [SERIES[2] if c.k <= max_sparsity else SERIES[1] for c in chances]},
    )
    figure.add_vline(x=max_sparsity + 0.5, line_dash="dash", annotation_text=f"K_max = {max_sparsity}")
    figure.update_yaxes(tickformat=".0%", range=[0, 1.08])
    figure.update_xaxes(dtick=1 if len(chances) < 30 else None)
    return figure


def halfspace_chart(
    x: Sequence[float], trial: Sequence[float], projected: Sequence[float], epsilon: float
) -> go.Figure:
    """The plane of one group: where it stands, where the step leads, and the half-space it must not leave."""
    figure = empty_chart("", "first weight of the group", "second weight")
    square = x[0] ** 2 + x[1] ** 2
    if square:
        # Points y with <y, x> = epsilon |x|^2: through epsilon x, at right angles to x.
        foot = (epsilon * x[0], epsilon * x[1])
        length = square**0.5
        along = (-x[1] / length * FAR, x[0] / length * FAR)
        away = (-x[0] / length * FAR, -x[1] / length * FAR)
        one, other = (foot[0] + along[0], foot[1] + along[1]), (foot[0] - along[0], foot[1] - along[1])
        outside = [one, other, _add(other, away), _add(one, away), one]
        figure.add_scatter(
            x=[p[0] for p in outside],
            y=[p[1] for p in outside],
            mode="lines",
            fill="toself",
            name="left half-space: becomes zero",
            fillcolor="rgba(213, 94, 0, 0.13)",
            line={"color": STATES["erased"].light, "dash": "dash", "width": 1.5},
            hoverinfo="skip",
        )
    for name, point, colour, symbol in (
        ("x, the group now", x, SERIES[0], "circle"),
        ("trial point", trial, SERIES[4], "diamond"),
        ("after the projection", projected, SERIES[3], "circle-open"),
    ):
        is_ring = symbol == "circle-open"
        marker: dict[str, Any] = {"size": 20 if is_ring else 13, "color": colour, "symbol": symbol}
        marker |= {"line": {"width": 3 if is_ring else 0}}
        figure.add_scatter(x=[point[0]], y=[point[1]], mode="markers", name=name, marker=marker)
    arrow: dict[str, Any] = {"ax": x[0], "ay": x[1], "axref": "x", "ayref": "y", "text": "", "arrowhead": 2}
    figure.add_annotation(x=trial[0], y=trial[1], arrowwidth=2, arrowcolor=SERIES[6], **arrow)
    figure.update_xaxes(range=[-REACH, REACH], zeroline=True, zerolinecolor="rgba(128,128,128,0.6)")
    figure.update_yaxes(
        range=[-REACH, REACH], zeroline=True, zerolinecolor="rgba(128,128,128,0.6)", scaleanchor="x"
    )
    figure.update_layout(height=560)
    return figure


def paths_chart(paths: Mapping[str, Mapping[str, Any]]) -> go.Figure:
    """Weights against architecture variable along each method's path, with its limit and the optimum."""
    figure = empty_chart("", "w, weight", "α, architecture variable")
    for number, (name, path) in enumerate(paths.items()):
        colour = SERIES[number % len(SERIES)]
        figure.add_scatter(
            x=[p[0] for p in path["path"]],
            y=[p[2] for p in path["path"]],
            mode="lines",
            name=name,
            line={"color": colour, "width": 2.4, "dash": DASHES[number % len(DASHES)]},
        )
        figure.add_scatter(
            x=[path["limit"][0]],
            y=[path["limit"][2]],
            mode="markers",
            name=f"limit of {name}",
            marker={"color": colour, "symbol": "x", "size": 12},
        )
    optimum = {"color": SERIES[6], "symbol": "star", "size": 16}
    figure.add_scatter(x=[1], y=[1], mode="markers", name="true optimum (1, 1)", marker=optimum)
    figure.update_layout(height=520)
    return figure


def prox_chart(z: Sequence[float], axis: Sequence[float], found: Mapping[str, Any]) -> go.Figure:
    """The plane of one group under a proximal map: where coordinates become zero, and where `z` goes."""
    figure = empty_chart("", "first weight", "second weight")
    scale = [[0.0, "rgba(0,0,0,0)"], [0.5, "rgba(86,180,233,0.28)"], [1.0, "rgba(213,94,0,0.45)"]]
    figure.add_heatmap(
        x=axis, y=axis, z=found["zeros"], zmin=0, zmax=2, colorscale=scale, showscale=False, hoverinfo="skip"
    )
    for name, point, colour in (("before", z, SERIES[0]), ("after", found["to"], SERIES[3])):
        figure.add_scatter(
            x=[point[0]], y=[point[1]], mode="markers", name=name, marker={"size": 12, "color": colour}
        )
    figure.update_xaxes(range=[-3, 3])
    figure.update_yaxes(range=[-3, 3], scaleanchor="x")
    figure.update_layout(height=360)
    return figure


def _add(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return (one[0] + other[0], one[1] + other[1])
