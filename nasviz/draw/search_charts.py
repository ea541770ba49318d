"""Figures of the documents about searches: weights over steps, widths, pruning thresholds, penalties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from nasviz.catalog import ACCURACY, Metric
from nasviz.draw.charts import DASHES, SERIES, SYMBOLS, empty_chart, escape_tags, panels
from nasviz.draw.labels import shorten
from nasviz.graph.cells.genotypes import CellGraph
from nasviz.runs import Cell, Spread, Trial
from nasviz.runs.records import Vectors

__all__ = [
    "axes_of",
    "bisection_chart",
    "penalty_chart",
    "pruning_chart",
    "remaining_chart",
    "sparsity_chart",
    "weights_chart",
]

_MOST_PANELS = 14
"""Maximum number of edges shown side by side, as many as a DARTS cell has."""
_NEUTRAL = "rgba(128,128,128,0.9)"
_KEPT_METRICS = {"survivors": "groups kept", "params_after": "parameters"}
"""Measures of sparsity, the first that the runs have is shown."""


def weights_chart(cell: CellGraph, recorded: Vectors, label: str) -> go.Figure:
    """Return the weight of each operation of a cell over steps, in one chart per edge.

    Args:
        cell: The cell.
        recorded: Weights, switches or lengths of structures, by step.
        label: What they are.
    """
    columns = {structure: number for number, structure in enumerate(recorded.structures)}
    edges: dict[tuple[int, int], list[tuple[str, int]]] = {}
    for edge in cell.edges:
        if edge.structure in columns:
            found = edges.setdefault((edge.source, edge.node), [])
            found.append((edge.operation, columns[edge.structure]))
    shown = list(edges.items())[:_MOST_PANELS]
    if not shown:
        return empty_chart("", "step", label)
    operations = list(dict.fromkeys(name for _, found in shown for name, _ in found))
    wide = 3 if len(shown) in (5, 6, 9) else min(4, len(shown))
    titles = [f"{cell.state(source)} → {cell.state(cell.num_inputs + node)}" for (source, node), _ in shown]
    figure = panels(titles, "step", label, columns=wide, is_shared=True)
    listed: set[str] = set()
    for place, (_, found) in enumerate(shown):
        for name, column in found:
            number = operations.index(name)
            figure.add_scatter(
                x=recorded.steps.tolist(),
                y=recorded.values[:, column].tolist(),
                mode="lines",
                name=escape_tags(name),
                legendgroup=name,
                showlegend=name not in listed,
                line={
                    "color": SERIES[number % len(SERIES)],
                    "width": 2,
                    "dash": DASHES[number % len(DASHES)],
                },
                hovertemplate=f"{escape_tags(name)}: %{{y:.4g}} at step %{{x}}<extra></extra>",
                row=place // wide + 1,
                col=place % wide + 1,
            )
            listed.add(name)
    figure.update_layout(height=150 + 170 * -(-len(shown) // wide))
    return figure


def remaining_chart(runs: Mapping[str, Mapping[str, tuple[int, int]]]) -> go.Figure:
    """Return the share of channels or dimensions that each layer keeps (dissertation, figure 4.2).

    Args:
        runs: For each run, the widths before and after by layer; layers in the order of the network.

    Examples:
        >>> figure = remaining_chart({"20 %": {"a": (4, 3)}, "40 %": {"a": (4, 2), "b": (8, 4)}})
        >>> [list(line.y) for line in figure.data], list(figure.data[0].x)
        ([[0.75, 1.0], [0.5, 0.5]], ['a', 'b'])
    """
    layers = list(dict.fromkeys(layer for widths in runs.values() for layer in widths))
    figure = empty_chart("", "layer", "remaining")
    for number, (name, widths) in enumerate(runs.items()):
        kept = [widths.get(layer, (1, 1)) for layer in layers]
        figure.add_scatter(
            x=[shorten(layer, 28) for layer in layers],
            y=[after / before for before, after in kept],
            customdata=[f"{after} of {before}" if before > 1 else "all" for before, after in kept],
            mode="lines+markers",
            name=escape_tags(name),
            line={"color": SERIES[number % len(SERIES)], "dash": DASHES[number % len(DASHES)]},
            marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 8},
            hovertemplate="%{x}: %{y:.0%}, %{customdata}<extra></extra>",
        )
    figure.update_yaxes(tickformat=".0%", range=[0, 1.05])
    figure.update_xaxes(type="category", tickangle=-45)
    figure.update_layout(height=420, showlegend=True)
    return figure


def pruning_chart(found: Mapping[str, Any], metric: Metric = ACCURACY) -> go.Figure:
    """Return the metric and pruned groups over the pruning threshold (GSparsity, table 2).

    Args:
        found: `pruning` of a run's result.
        metric: First metric of the run.
    """
    rows = found["thresholds"]
    is_share = found.get("kind") == "fraction"
    figure = panels([metric.capitalized, "Pruned groups"], "share of groups" if is_share else "threshold", "")
    x = [row["threshold"] for row in rows]
    for place, key, number in ((1, "accuracy", 0), (2, "pruned", 1)):
        figure.add_scatter(
            x=x,
            y=[row[key] * (metric.sign if key == "accuracy" else 1) for row in rows],
            mode="lines+markers",
            name="after pruning" if place == 1 else "pruned",
            line={"color": SERIES[number]},
            marker={"symbol": SYMBOLS[number], "size": 9},
            showlegend=place == 1,
            row=1,
            col=place,
        )
    ends = [min(x), max(x)]
    limits = [(1, "before pruning", metric.sign * found["accuracy"])]
    if found.get("groups"):
        limits.append((2, "all groups", found["groups"]))
    for place, name, value in limits:
        line = {"color": _NEUTRAL, "dash": "dot"}
        figure.add_scatter(x=ends, y=[value] * 2, mode="lines", name=name, line=line, row=1, col=place)
    if metric.is_share:
        figure.update_yaxes(tickformat=".0%", range=[0, 1.02], col=1)
    figure.update_yaxes(rangemode="tozero", col=2)
    if is_share:
        figure.update_xaxes(tickformat=".0%")
    else:
        figure.update_xaxes(type="log", exponentformat="power", dtick=1)
    figure.update_layout(height=360)
    return figure


def sparsity_chart(history: Sequence[Sequence[float]]) -> go.Figure:
    """Return lambda, zero operations and dead nodes over steps (SparseNAS, section 4.1).

    Args:
        history: Rows of step, lambda, and numbers of operations and nodes at zero, ascending.
    """
    figure = panels(["λ", "Zero operations", "Zero nodes"], "step", "")
    for place in (1, 2, 3):
        figure.add_scatter(
            x=[row[0] for row in history],
            y=[row[place] for row in history],
            mode="lines+markers",
            line={"color": SERIES[place - 1], "shape": "hv"},
            marker={"size": 5},
            showlegend=False,
            row=1,
            col=place,
        )
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(height=330, margin={"b": 50})
    return figure


def axes_of(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Return the settings that take several numbers in a sweep, over which its results can be drawn."""
    values: dict[str, set[float]] = {}
    for cell in cells:
        for name, value in cell.point.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                values.setdefault(name, set()).add(value)
    return tuple(name for name, found in values.items() if len(found) > 1)


def penalty_chart(
    cells: Sequence[Cell], axis: str, label: str = "", *, metric: Metric = ACCURACY
) -> go.Figure:
    """Return the metric and sparsity of the runs of a sweep over one of its settings, such as mu or lambda.

    Cells that differ in other settings are lines of their own; error bars are standard deviations over seeds.

    Args:
        cells: Cells of the sweep.
        axis: Name of the setting.
        label: Title of the horizontal axis.
        metric: Metric of the runs.
    """
    kept = next(
        (name for name in _KEPT_METRICS if any(name in cell.metrics for cell in cells)), "params_after"
    )
    measures = ("accuracy_full", "accuracy_subnet", kept)
    name = metric.capitalized
    titles = (f"{name}, full network", f"{name}, sub-network", _KEPT_METRICS[kept].capitalize())
    figure = panels(titles, label or axis, "")
    lines: dict[str, list[Cell]] = {}
    for cell in cells:
        if isinstance(cell.point.get(axis), int | float):
            others = {name: value for name, value in cell.point.items() if name != axis}
            lines.setdefault(_others(others), []).append(cell)
    for number, (name, found) in enumerate(lines.items()):
        ordered = sorted(found, key=lambda cell: float(cell.point[axis]))
        for place, measure in enumerate(measures, 1):
            known = [(cell.point[axis], cell.metrics[measure]) for cell in ordered if measure in cell.metrics]
            _add_line(figure, known, number, name, place)
    values = [float(cell.point[axis]) for found in lines.values() for cell in found]
    if values and min(values) > 0 and max(values) >= 20 * min(values):
        figure.update_xaxes(type="log", exponentformat="power")
    for place in (1, 2) if metric.is_share else ():
        figure.update_yaxes(tickformat=".0%", col=place)
    figure.update_yaxes(rangemode="tozero", tickformat="~s", col=3)
    figure.update_layout(height=380)
    return figure


def _add_line(
    figure: go.Figure, known: Sequence[tuple[Any, Spread]], number: int, name: str, place: int
) -> None:
    figure.add_scatter(
        x=[x for x, _ in known],
        y=[found.mean for _, found in known],
        error_y={"array": [0 if found.std != found.std else found.std for _, found in known], "thickness": 1},
        mode="lines+markers",
        name=escape_tags(name) or "runs",
        legendgroup=name,
        showlegend=place == 1 and bool(name),
        line={"color": SERIES[number % len(SERIES)], "dash": DASHES[number % len(DASHES)]},
        marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 9},
        row=1,
        col=place,
    )


def _others(point: Mapping[str, Any]) -> str:
    texts = [
        str(v["name"]) if isinstance(v, Mapping) and "name" in v else f"{n} {v}" for n, v in point.items()
    ]
    return ", ".join(shorten(text, 30) for text in texts)


def bisection_chart(trials: Sequence[Trial], target: int) -> go.Figure:
    """Return survivors over mu (GSparsity, appendix E), with numbered trials and the target as a dotted line.

    Args:
        trials: Trials in the order in which they were made.
        target: Number of groups that should survive.

    Examples:
        >>> figure = bisection_chart([Trial(0.1, 20), Trial(10.0, 3), Trial(1.0, 12)], 12)
        >>> list(figure.data[0].x), list(figure.data[0].text)
        ([0.1, 1.0, 10.0], ['1', '3', '2'])
    """
    ordered = sorted((trial.mu, trial.survivors, number) for number, trial in enumerate(trials, 1))
    figure = empty_chart("", "μ", "surviving groups")
    figure.add_scatter(
        x=[mu for mu, _, _ in ordered],
        y=[survivors for _, survivors, _ in ordered],
        text=[str(number) for _, _, number in ordered],
        textposition="top center",
        mode="lines+markers+text",
        line={"color": SERIES[0], "shape": "hv"},
        marker={"size": 9},
        hovertemplate="mu = %{x:.4g}: %{y} surviving groups<extra></extra>",
        showlegend=False,
    )
    figure.add_hline(target, line={"dash": "dot", "color": _NEUTRAL}, annotation_text="target")
    figure.update_xaxes(type="log")
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(height=340)
    return figure
