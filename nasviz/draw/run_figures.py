"""Figures that fit a run: curves, weights of operations, remaining widths, accuracy over the threshold."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from nasviz.catalog import metric_of
from nasviz.draw.genotype import chosen_cells
from nasviz.draw.labels import clean
from nasviz.draw.run_charts import comparison_chart
from nasviz.draw.run_space import read_space
from nasviz.draw.search_charts import pruning_chart, remaining_chart, sparsity_chart, weights_chart
from nasviz.graph.cells.genotypes import ChosenCell
from nasviz.runs import Run, Tail
from nasviz.runs.files import SEARCHED, SPACE, is_file
from nasviz.runs.records import has_penalty
from nasviz.settings import SALIENCY

__all__ = ["cells_at_end", "remaining_figure", "run_figures", "widths_of"]

Widths = Mapping[str, tuple[int, int]]


def run_figures(run: Run, tail: Tail | None = None) -> dict[str, go.Figure]:
    """Return the figures that the record of a run allows, by title.

    Args:
        run: The run.
        tail: Its record; read from its folder if None.
    """
    tail = run.tail() if tail is None else tail
    figures: dict[str, go.Figure] = {}
    if len(tail.steps):
        figures["Curves"] = comparison_chart({"run": tail})
    if has_penalty(tail):
        figures["Objective and penalty"] = comparison_chart({"run": tail}, ("objective", "penalty"))
    if len(tail.scores.steps) > 1:
        declared = run.settings.method.vectors(run.settings.kept_edges)
        label = next((vector for vector in declared if vector.table == "scores"), SALIENCY).label
        for cell in cells_at_end(run, tail):
            figure = weights_chart(cell.cell, tail.scores, label)
            if figure.data:
                figures[f"{label} of each operation: {cell.name}"] = figure
    if isinstance(history := tail.facts.get("penalty"), list) and history:
        figures["Penalty and zeros"] = sparsity_chart(history)
    result = run.end.result if run.end is not None else {}
    if (pruning := result.get("pruning")) and pruning.get("thresholds"):
        metric = metric_of(result)
        figures[f"{metric.capitalized} after pruning"] = pruning_chart(pruning, metric)
    if widths := widths_of(run):
        figures["Remaining channels"] = remaining_chart({"remaining": widths})
    return figures


def remaining_figure(runs: Mapping[str, Run]) -> go.Figure | None:
    """Return the remaining channels of several runs in one chart; None if none has cut channels."""
    widths = {name: found for name, run in runs.items() if (found := widths_of(run))}
    return remaining_chart(widths) if widths else None


def widths_of(run: Run) -> Widths:
    """Return the channels of each narrowed layer of a finished run before and after, in network order."""
    result = run.end.result if run.end is not None else {}
    if not result.get("channels") or not is_file(run.folder / SPACE):
        return {}
    space = read_space(run.folder / SPACE)
    widths = space.plan(result["selected"], (), result["channels"]).widths
    return {clean(v.name): widths[v.id] for v in space.trace if v.id in widths}


def cells_at_end(run: Run, tail: Tail) -> tuple[ChosenCell, ...]:
    """Return the cells of a run that its scores refer to, with the operations kept so far."""
    path = run.folder / SEARCHED
    path = path if is_file(path) else run.folder / SPACE
    if not is_file(path):
        return ()
    result = run.end.result if run.end is not None and path.name == SPACE else None
    return chosen_cells(read_space(path), run.settings, tail, result)
