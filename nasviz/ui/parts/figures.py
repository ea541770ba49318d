"""Figures of runs and sweeps: weights over steps, widths, accuracy over thresholds and penalties, cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from nasviz import jobs
from nasviz.catalog import ACCURACY, Metric, metric_of
from nasviz.draw.genotype import genotype_dot, summary
from nasviz.draw.run_figures import cells_at_end, remaining_figure, run_figures
from nasviz.draw.search_charts import axes_of, penalty_chart
from nasviz.runs import Cell, Run, RunSummary
from nasviz.runs.records import could_go
from nasviz.settings import RunSettings
from nasviz.ui import address, session
from nasviz.ui.parts import genotypes, run_facts
from nasviz.ui.parts.escaping import inert

__all__ = ["of_run", "of_runs", "of_sweep", "pruning_table"]

MOST_CELLS = 12
"""Maximum number of runs in a gallery of cells."""


def of_run(run: Run) -> None:
    """Show the figures that the record of a run allows, one per tab; curves are shown live."""
    figures = run_figures(run, run_facts.read(run))
    figures.pop("Curves", None)
    if figures:
        _tabs(figures, f"figure.{run.id}")


def of_runs(runs: Mapping[str, Run]) -> None:
    """Show what compares several runs: remaining channels, and cells."""
    figure = remaining_figure(runs)
    if figure is not None:
        st.markdown("##### Remaining channels by layer")
        st.plotly_chart(figure, key=f"remaining.{'.'.join(run.id for run in runs.values())}")
    _gallery(runs)


def of_sweep(
    cells: Sequence[Cell],
    runs: Sequence[RunSummary | None],
    key: str,
    *,
    is_busy: bool,
    metric: Metric = ACCURACY,
) -> None:
    """Show the metric and sparsity over a setting of a sweep, and the cells of its runs in that order."""
    axes = axes_of(cells)
    if not axes or not any(cell.metrics for cell in cells):
        return
    fields = RunSettings.fields()
    titles = {name: fields[name].title if name in fields else name for name in axes}
    axis = st.segmented_control(
        "Figure over", axes, default=axes[0], format_func=titles.__getitem__, required=True, key=f"{key}.axis"
    )
    st.plotly_chart(penalty_chart(cells, str(axis), titles[str(axis)], metric=metric), key=f"{key}.{axis}")
    if is_busy:  # the gallery reads the records of all runs
        return
    ordered = sorted(
        (cell for cell in cells if isinstance(cell.point.get(str(axis)), int | float)),
        key=lambda cell: float(cell.point[str(axis)]),
    )
    first = {
        f"{titles[str(axis)]} {cell.point[str(axis)]:g}": session.store().open(run.id)
        for cell in ordered
        if (run := runs[cell.indices[0]]) is not None
    }
    _gallery(first)


def pruning_table(run: Run) -> None:
    """Show the accuracy before pruning and at each threshold, if the run prunes at its end."""
    found = run.end.result.get("pruning") if run.end is not None else None
    if not found:
        return
    metric = metric_of(run.end.result if run.end is not None else {})
    st.markdown(f"##### {metric.capitalized} after pruning")
    total, is_share = found.get("groups"), found.get("kind") == "fraction"
    scale = metric.sign * (100 if metric.is_share else 1)

    def line(name: str, row: Mapping[str, Any], pruned: int) -> dict[str, Any]:
        change = (row["accuracy"] - found["accuracy"]) * scale
        value = metric.sign * row["accuracy"]
        return {"threshold": name, "pruned groups": pruned, metric.title: value, "change": change}

    rows = [line("before pruning", found, 0)]
    for row in found["thresholds"]:
        name = f"{row['threshold']:.0%}" if is_share else f"{row['threshold']:g}"
        rows.append(line(name, row, row["pruned"]))
    if chosen := found.get("chosen"):
        rows.append(line(f"as chosen ({chosen['rule']})", chosen, chosen["pruned"]))
    number = st.column_config.NumberColumn
    st.dataframe(
        rows,
        hide_index=True,
        column_config={
            metric.title: number(format="percent" if metric.is_share else "%.4g"),
            "change": number("change (points)" if metric.is_share else "change", format="%+.3g"),
        },
    )
    of = f" of {total:,} groups" if total else ""
    if is_share:
        words = f"without the given share of groups with the lowest scores{of}, before tuning."
    else:
        words = (
            f"before training without the penalty{of}. Groups up to the threshold are set to zero; 1e-6, 1e-3"
            " and 0.5 are the thresholds of GSparsity, table 2."
        )
    st.caption(f"Validation {metric.title}, {words}")
    if better := could_go(found):
        label = f"Prune {better['pruned']} groups at {better['threshold']:g}, with the same {metric.title}"
        words = "Repeats the run, which is the same up to the end of its search, with this threshold."
        if st.button(label, icon=":material/content_cut:", key="prune.more", help=words):
            _repeat(run, better["threshold"])


def _repeat(run: Run, threshold: float) -> None:
    """Start a run like `run` that prunes at another threshold, and show it."""
    settings = run.settings.changed(pruning="threshold", threshold=threshold)
    jobs.require_trusted(settings)  # before the run is created
    repeated = session.store().create(settings, taken_from=run)
    jobs.start_run(repeated)
    session.adopt(repeated.settings)
    session.open_run(repeated)
    st.switch_page(address.script_of("Search and train"), query_params=address.link())


def _tabs(figures: Mapping[str, go.Figure], key: str) -> None:
    for tab, (title, figure) in zip(
        st.tabs([inert(title) for title in figures]), figures.items(), strict=True
    ):
        tab.plotly_chart(figure, key=f"{key}.{title}")


def _gallery(runs: Mapping[str, Run]) -> None:
    """Show the cells of each run, with the number of operations kept (GSparsity, figures 7-14)."""
    found = {name: cells for name, run in list(runs.items())[:MOST_CELLS] if (cells := _cells(run))}
    if not found:
        return
    with st.expander("Cells", icon=":material/account_tree:", expanded=len(found) > 1):
        pictures = [(name, cell) for name, cells in found.items() for cell in cells]
        # Two in a row: both types of cells of one run, or two runs.
        for start in range(0, len(pictures), 2):
            for column, (name, cell) in zip(st.columns(2), pictures[start : start + 2], strict=False):
                with column:
                    st.markdown(f"**{inert(name)}** · :small[{inert(summary([cell]))}]")
                    genotypes.picture(genotype_dot(cell, has_weights=False))


def _cells(run: Run) -> tuple[genotypes.ChosenCell, ...]:
    return cells_at_end(run, run_facts.read(run)) if run.end is not None else ()
