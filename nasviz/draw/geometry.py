"""Figures of the page Learn: proximal maps, unit balls, optimization paths, convergence, connectivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from nasviz.draw.charts import DASHES, SERIES, empty_chart, panels
from nasviz.graph import Chance

__all__ = [
    "chance_chart",
    "convergence_chart",
    "decay_chart",
    "figure_2_1_chart",
    "paths_chart",
    "prox_chart",
    "unit_ball_chart",
]


def chance_chart(chances: Sequence[Chance], max_sparsity: int) -> go.Figure:
    """Return a chart of the fraction of sets of K structures whose removal keeps the network connected."""
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


def unit_ball_chart(ball: Mapping[str, Any]) -> go.Figure:
    """Return a plot of the unit ball of a penalty on three weights, of which the first two form a group."""
    figure = go.Figure(layout={"paper_bgcolor": "rgba(0,0,0,0)", "margin": dict.fromkeys("lrtb", 0)})
    figure.add_surface(
        x=ball["x"],
        y=ball["y"],
        z=ball["z"],
        surfacecolor=ball["z"],
        colorscale=[[0.0, SERIES[0]], [0.5, "#dbe9f6"], [1.0, SERIES[0]]],
        showscale=False,
        contours={"z": {"show": True, "width": 1, "color": SERIES[6]}},
        hoverinfo="skip",
    )
    axis = {"range": [-1.15, 1.15], "dtick": 1, "backgroundcolor": "rgba(0,0,0,0)"}
    figure.update_layout(
        height=285,  # the scale follows the height; a taller plot would be clipped in a narrow column
        scene={
            "xaxis": axis | {"title": {"text": "w₁"}},
            "yaxis": axis | {"title": {"text": "w₂"}},
            "zaxis": axis | {"title": {"text": "w₃"}},
            "aspectmode": "cube",
            # Far and low enough that the axis titles are visible in a narrow column.
            "camera": {"eye": {"x": 2.13, "y": 1.68, "z": 1.12}, "center": {"x": 0, "y": 0, "z": -0.12}},
        },
    )
    return figure


def decay_chart(lengths: Sequence[Mapping[str, Any]], dead: float = 1e-6) -> go.Figure:
    """Return a chart of group norms over steps; dying groups fall in a straight line on the log axis."""
    figure = empty_chart("", "step", "norm of the group")
    for number, group in enumerate(lengths):
        path = group["path"]
        figure.add_scatter(
            x=list(range(len(path))),
            y=path,
            mode="lines",
            name=f"held at {group['target']:g} by the loss",
            line={"color": SERIES[number % len(SERIES)], "width": 3, "dash": DASHES[number % len(DASHES)]},
        )
    figure.add_hline(y=dead, line_dash="dot", annotation_text="pruned below 10⁻⁶")
    figure.update_yaxes(type="log", exponentformat="power", range=[-8, 0.5])
    figure.update_layout(height=520)
    return figure


def paths_chart(paths: Mapping[str, Mapping[str, Any]]) -> go.Figure:
    """Return a plot of the path of each method in the plane of weight and architecture variable.

    The second copy of the weights, u, is a thin dotted line where a method has one.
    """
    figure = empty_chart("", "w, weight (dotted: u, its second copy)", "α, architecture variable")
    for number, (name, path) in enumerate(paths.items()):
        _add_path(figure, path, name, number)
        figure.add_scatter(
            x=[path["limit"][0]],
            y=[path["limit"][2]],
            mode="markers",
            name=f"limit of {name}",
            marker={"color": SERIES[number % len(SERIES)], "symbol": "x", "size": 12},
        )
    _add_optimum(figure)
    figure.update_layout(height=520)
    return figure


def figure_2_1_chart(found: Mapping[str, Any]) -> go.Figure:
    """Return figure 2.1 of the dissertation: RARTS with several λ, β and y₀, with first-order DARTS."""
    figure = panels([panel["title"] for panel in found["panels"]], "w (dotted: u)", "α")
    for place, panel in enumerate(found["panels"], 1):
        _add_path(figure, found["darts"], "DARTS", 6, place, is_listed=place == 1)
        for number, (name, path) in enumerate(panel["paths"].items()):
            _add_path(figure, path, name, number, place)
        _add_optimum(figure, place, is_listed=place == 1)
    figure.update_yaxes(range=[-0.2, 3.2])
    figure.update_xaxes(range=[-2.2, 3.2])
    figure.update_layout(height=440)
    return figure


def _add_path(
    figure: go.Figure,
    path: Mapping[str, Any],
    name: str,
    number: int,
    place: int | None = None,
    *,
    is_listed: bool = True,
) -> None:
    """Add the path of w as a line, its end as a dot, and that of u as a thin dotted line where it differs."""
    where = {} if place is None else {"row": 1, "col": place}
    colour, points = SERIES[number % len(SERIES)], path["path"]
    shared = {
        "legendgroup": f"{name} {place}",
        "hovertemplate": f"{name}: %{{x:.3f}}, %{{y:.3f}}<extra></extra>",
    }
    figure.add_scatter(
        x=[p[0] for p in points],
        y=[p[2] for p in points],
        mode="lines+markers",
        name=name,
        showlegend=is_listed,
        line={"color": colour, "width": 2.4, "dash": DASHES[number % len(DASHES)]},
        marker={"size": [0] * (len(points) - 1) + [9], "color": colour},
        **shared,
        **where,
    )
    if any(p[0] != p[1] for p in points):
        figure.add_scatter(
            x=[p[1] for p in points],
            y=[p[2] for p in points],
            mode="lines",
            showlegend=False,
            line={"color": colour, "width": 1.4, "dash": "dot"},
            **shared,
            **where,
        )


def _add_optimum(figure: go.Figure, place: int | None = None, *, is_listed: bool = True) -> None:
    where = {} if place is None else {"row": 1, "col": place}
    optimum = {"color": SERIES[6], "symbol": "star", "size": 16}
    figure.add_scatter(
        x=[1],
        y=[1],
        mode="markers",
        name="true optimum (1, 1)",
        marker=optimum,
        showlegend=is_listed,
        hovertemplate="true optimum (1, 1)<extra></extra>",
        **where,
    )


def convergence_chart(found: Mapping[str, Any]) -> go.Figure:
    """Return Lagrangian, objective and error of RARTS over iterations, with the bounds of the theorems.

    Bounds are dashed in the colour of their curve. All axes are logarithmic; iteration 0 is left out.
    """
    titles = ("Lagrangian", "Lagrangian by SGD", "Objective and error")
    figure = panels(titles, "iteration", "above the minimum")
    steps = found["steps"]
    curves = (
        (1, "gap", "Lagrangian − minimum", 0, "solid"),
        (1, "linear_bound", "bound of Corollary 2.6 (i)", 0, "dash"),
        (1, "sublinear_bound", "bound of Corollary 2.6 (ii)", 0, "dot"),
        (2, "sampled_gap", "mean of 200 runs", 1, "solid"),
        (2, "sampled_bound", "bound of Corollary 2.8", 1, "dash"),
        (3, "objective", "objective (α − 1)²", 2, "solid"),
        (3, "error", "distance of (w, α) to (1, 1)", 3, "solid"),
    )
    for place, key, name, number, dash in curves:
        figure.add_scatter(
            x=steps[1:],
            y=found[key][1:],
            mode="lines",
            name=name,
            line={"color": SERIES[number], "width": 2.4, "dash": dash},
            hovertemplate=f"{name}: %{{y:.3g}} at iteration %{{x}}<extra></extra>",
            row=1,
            col=place,
        )
    limits = (
        (2, "noise_floor", "floor 2MLη/μ of Corollary 2.8"),
        (3, "limit_error", "distance of the limit"),
    )
    for place, key, name in limits:
        figure.add_scatter(
            x=[1, steps[-1]],
            y=[found[key]] * 2,
            mode="lines",
            name=name,
            line={"color": SERIES[6], "width": 1.6, "dash": DASHES[1 + place]},
            hovertemplate=f"{name}: %{{y:.3g}}<extra></extra>",
            row=1,
            col=place,
        )
    figure.update_xaxes(type="log", dtick=1)
    figure.update_yaxes(type="log", exponentformat="power", dtick=2)
    figure.update_yaxes(title={"text": ""}, col=3)
    figure.update_layout(height=460)
    return figure


def prox_chart(z: Sequence[float], axis: Sequence[float], found: Mapping[str, Any]) -> go.Figure:
    """Return a plot of a proximal map on two weights: the regions of zeros, and the image of `z`."""
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
