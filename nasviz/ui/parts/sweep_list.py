"""Sweeps on the Runs page: state, table over seeds, and Pareto front next to published results."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.catalog import PRESETS, Metric, Preset, Printed, metric_of
from nasviz.draw.charts import Point
from nasviz.draw.labels import count
from nasviz.draw.run_charts import sweep_chart
from nasviz.draw.search_charts import bisection_chart
from nasviz.runs import (
    Cell,
    RunSummary,
    Spread,
    Sweep,
    SweepSettings,
    SweepSummary,
    cells,
    is_stand_in,
    not_printed,
    row_of,
    what_differs,
)
from nasviz.runs.exporting import summaries_to_csv
from nasviz.runs.sweep import is_at_work
from nasviz.settings import METHODS
from nasviz.ui import frame, session
from nasviz.ui.parts import figures, run_actions, run_comparison
from nasviz.ui.parts.controls import keep, kept
from nasviz.ui.parts.escaping import inert
from nasviz.ui.parts.published import NO_PATH, printed_accuracy

__all__ = ["sweep_list"]

REFRESH_S = 2.0
COLOURS = {"running": "green", "done": "blue", "stopped": "orange", "created": "gray"}
PRINTED_COST = {"Parameters": "params", "MACs": "macs"}
TITLES = {"target_sparsity": "K"}


def sweep_list() -> None:
    """Let the user choose a sweep, and show it."""
    summaries = session.sweeps().list()
    if not summaries:
        st.info("No sweeps yet. Start one under **New sweep**.", icon=":material/grid_on:")
        return
    names = {summary.id: _title(summary) for summary in summaries}
    known = kept("sweep", summaries[0].id)
    ids = list(names)
    chosen = st.selectbox(
        "Sweep",
        ids,
        ids.index(known) if known in ids else 0,
        format_func=names.__getitem__,
        key="sweep.chosen",
    )
    keep("sweep", chosen)
    summary = next(s for s in summaries if s.id == chosen)
    if summary.problem:
        st.error(inert(summary.problem), icon=":material/error:")
        return
    sweep = session.sweeps().open(chosen)
    _buttons(sweep)
    is_busy = _is_busy(sweep)
    st.fragment(_watch, run_every=REFRESH_S if is_busy else None)(sweep.id, is_busy)
    runs = [run for run in sweep.summaries() if run is not None]
    _front(sweep, runs)
    begun = [run for run in runs if run.step >= 0]
    if begun:
        with st.expander("Curves", icon=":material/show_chart:"):
            run_comparison.curves(begun)


def _is_busy(sweep: Sweep) -> bool:
    """Return whether the scheduler or a run is alive, paused runs included."""
    return sweep.is_active or jobs.is_starting(sweep) or any(run and is_at_work(run) for run in sweep.runs())


def _title(summary: SweepSummary) -> str:
    """Return a title that stays constant while the sweep runs."""
    # The browser keeps showing the option text of the moment of selection.
    settings = summary.settings
    name = summary.labels.name or (settings.title if settings else "") or "Grid"
    when = time.strftime("%d %b %H:%M", time.localtime(summary.created))
    return f"{name} · {summary.counts.total()} runs · {when}"


def _buttons(sweep: Sweep) -> None:
    state, runs = sweep.state, sweep.summaries()
    is_busy = state == "running" or jobs.is_starting(sweep)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":{COLOURS[state]}-badge[{'starting' if is_busy and state != 'running' else state}]")
        if is_busy and st.button("Stop", icon=":material/stop:", key="sweep.stop"):
            with st.spinner("Waiting for the runs to save their checkpoints …"):
                jobs.stop_sweep(sweep, wait_s=15)
            st.rerun()
        word = "Resume" if state == "stopped" else "Start"
        is_left = state in ("stopped", "created") and not is_busy
        if is_left and st.button(word, icon=":material/play_arrow:", key="sweep.start"):
            jobs.start_sweep(sweep)
            st.rerun()
        has_failed = not is_busy and any(run is not None and run.state == "failed" for run in runs)
        if has_failed and st.button("Retry failed runs", icon=":material/refresh:", key="sweep.retry"):
            jobs.start_sweep(sweep, retry_failed=True)
            st.rerun()
        text, name = summaries_to_csv(runs), f"{sweep.id}.csv"
        st.download_button("CSV", text, name, "text/csv", icon=":material/table:", key="sweep.csv")
        with st.popover("Label", icon=":material/label:"):
            labels = run_actions.edit_labels(sweep.labels, f"sweep.{sweep.id}")
            if labels is not None:
                sweep.write_labels(labels)
                st.rerun()
        if not is_busy:
            with st.popover("Delete", icon=":material/delete:"):
                st.write("The sweep and its runs are moved to the trash and can be restored.")
                if st.button("Delete sweep", key="sweep.delete"):
                    session.sweeps().delete(sweep.id)
                    st.rerun()


@frame.handle_errors
def _watch(sweep_id: str, was_busy: bool) -> None:
    """Show progress and table. Rerun the page when a run or the sweep has finished."""
    sweep = session.sweeps().open(sweep_id)
    runs = sweep.summaries()
    num_done = sum(run is not None and _share(run) == 1.0 for run in runs)
    is_busy = _is_busy(sweep)
    before = kept(f"sweep.seen.{sweep_id}", num_done)
    keep(f"sweep.seen.{sweep_id}", num_done)
    if before != num_done or is_busy != was_busy:
        st.rerun()
    shares = [0.0 if run is None else _share(run) for run in runs]
    at_work = sum(run is not None and run.state == "running" for run in runs)
    words = f"{num_done} of {len(runs)} runs finished" + (f", {at_work} active" if at_work else "")
    st.progress(min(1.0, sum(shares) / max(1, len(shares))), text=words)
    _curve(sweep)
    preset = PRESETS.get(sweep.settings.preset or "")
    found = cells(sweep, runs)
    kinds = {cell.metric for cell in found}
    rows = [_row(cell, runs, preset, sweep.settings, is_named=len(kinds) > 1) for cell in found]
    label, note = st.column_config.TextColumn(width=160), st.column_config.TextColumn(width="large")
    st.dataframe(rows, hide_index=True, key="sweep.table", column_config={"": label, "note": note})
    metric = run_comparison.choose_metric(kinds, f"sweep.figure.{sweep.id}")
    alike = [cell for cell in found if cell.metric == metric]
    figures.of_sweep(alike, runs, f"sweep.figure.{sweep.id}", is_busy=is_busy, metric=metric)
    if preset is not None:
        _show_preset(preset, sweep)


def _curve(sweep: Sweep) -> None:
    """Show the result and all trials of a search for mu."""
    search, trials = sweep.settings.bisection, sweep.trials
    if search is None or not trials:
        return
    found = sweep.found
    if found is None:
        words = f"No mu found yet that keeps at most {search.target} groups."
    else:
        words = f"**μ = {found.mu:.4g}** keeps **{found.survivors}** groups (target: {search.target})."
    st.markdown(words)
    st.plotly_chart(bisection_chart(trials, search.target), key=f"curve.{sweep.id}.{len(trials)}")
    st.caption("Points are numbered by trial.")


def _share(run: RunSummary) -> float:
    """Return the completed fraction of a run."""
    is_over = run.state in ("done", "failed") or run.verdict is not None
    return 1.0 if is_over else run.progress or 0.0


def _show_preset(preset: Preset, sweep: Sweep) -> None:
    words = [f"Published results: {preset.document}, {preset.table}, on {preset.data}."]
    if is_stand_in(preset, sweep.settings):
        words.insert(0, f"**Digits instead of {preset.data}**: compare the trend, not the numbers.")
    st.caption(
        " ".join(
            [*words, what_differs(preset, sweep.settings), not_printed(preset, sweep.settings), *preset.notes]
        )
    )
    if preset.baseline_top1 is not None:
        st.caption(f"Published accuracy of the full network: {preset.baseline_top1:g} %.")
    if preset.others:
        with st.expander("Published results of other methods"):
            columns: dict[str, list[Any]] = {
                "accuracy %": [p.top1 for _, p in preset.others],
                "top-5 %": [p.top5 for _, p in preset.others],
                "parameters": [p.params and count(p.params) for _, p in preset.others],
                "MACs": [p.macs and count(p.macs) for _, p in preset.others],
                "search, GPU days": [p.search_days for _, p in preset.others],
            }
            known = {title: values for title, values in columns.items() if any(values)}
            st.dataframe({"method": [name for name, _ in preset.others], **known}, hide_index=True)


def _row(
    cell: Cell,
    runs: Sequence[RunSummary | None],
    preset: Preset | None,
    settings: SweepSettings,
    *,
    is_named: bool,
) -> dict[str, Any]:
    metric = cell.metric
    found, is_crossed = cell.metrics, cell.num_invalid > 0 and cell.num_valid == 0
    row: dict[str, Any] = {TITLES.get(n, n): _plain(value) for n, value in cell.point.items()}
    printed = row_of(preset, settings, cell) if preset else None
    if printed is not None:
        row = {"": printed.label}
    is_printed = preset is not None
    shown = printed.printed if printed is not None else Printed()
    # Published values next to ours; columns that do not fit a narrow screen last.
    row |= {
        **({"groups kept": _counted(found["survivors"])} if "survivors" in found else {}),
        **({"metric": metric.title} if is_named else {}),
        "value" if is_named else metric.title: NO_PATH
        if is_crossed
        else _spread(found.get("accuracy_subnet"), metric),
        **({"published accuracy": printed_accuracy(shown)} if is_printed else {}),
        "parameters": _counted(found.get("params_after")),
        **({"published parameters": _sized(shown.params)} if is_printed else {}),
        "MACs": _counted(found.get("macs_after")),
        "full network": _spread(found.get("accuracy_full"), metric),
        **_measured("top-5", found.get("top5_subnet"), shown.top5, "{:.1%}".format, "{:g} %".format),
        **_measured("search", found.get("search_seconds"), shown.search_days, _seconds, _days),
        "valid": f"{cell.num_valid}/{cell.counts['done']}" if cell.counts["done"] else "",
        "runs": f"{cell.counts['done']}/{cell.num_runs}",
    }
    found_runs = [run for i in cell.indices if (run := runs[i]) is not None]
    errors = [words for run in found_runs if (words := run.problem or run.error)]
    notes = errors[:1] + ([f"{cell.num_stopped} stopped early"] if cell.num_stopped else [])
    notes += [f"{cell.num_diverged} diverged"] if cell.num_diverged else []
    return row | ({"note": "; ".join(notes)} if notes else {})


def _measured(
    name: str,
    found: Spread | None,
    printed: float | None,
    show: Callable[[float], str],
    show_printed: Callable[[float], str],
) -> dict[str, str]:
    """Return the column of a measure, if there is one, and of its published value."""
    ours = {} if found is None else {name: show(found.mean)}
    return ours | ({} if printed is None else {f"published {name}": show_printed(printed)})


def _seconds(seconds: float) -> str:
    return f"{seconds:,.0f} s ({seconds / 86_400:.2g} days)"


def _days(days: float) -> str:
    return f"{days:g} GPU days"


def _front(sweep: Sweep, runs: Sequence[RunSummary]) -> None:
    """Show the Pareto front of the runs, with hollow points for published results."""
    measured = [run for run in runs if "accuracy_subnet" in run.result]
    if not measured:
        return
    metric = run_comparison.choose_metric({metric_of(run.result) for run in measured}, "sweep.front")
    runs = [run for run in measured if metric_of(run.result) == metric]
    cost = st.segmented_control(
        "Cost", tuple(run_comparison.COSTS), default="Parameters", required=True, key="sweep.cost"
    )
    preset = PRESETS.get(sweep.settings.preset or "")
    show = preset is not None and st.toggle(
        "Show published results", kept("sweep.printed", False), key="sweep.pr"
    )
    keep("sweep.printed", show)
    printed = _printed_points(preset, PRINTED_COST[cost]) if preset and show else []
    source = f"published, on {preset.data}" if preset else ""
    points = run_comparison.points_of(runs, cost)
    figure = sweep_chart(points, printed, cost=cost, source=source, metric=metric)
    key = f"front.{sweep.id}.{kept('runs.clicks', 0)}"
    event = st.plotly_chart(figure, key=key, on_select="rerun", selection_mode="points")
    st.caption(
        "One point per run. The dotted line is the Pareto front. Click a point to open its sub-network."
    )
    run_comparison.follow_click(event, runs)


def _printed_points(preset: Preset, what: str) -> list[Point]:
    points = []
    for row in preset.rows:
        cost, top1 = getattr(row.printed, what), row.printed.top1
        if cost is not None and top1 is not None:
            method = str(row.changes.get("method", preset.base.get("method", next(iter(METHODS)))))
            points.append(Point(row.label, cost, top1 / 100, METHODS[method].title))
    return points


def _spread(spread: Spread | None, metric: Metric) -> str:
    if spread is None:
        return ""
    return metric.text(spread.mean) + ("" if math.isnan(spread.std) else f" ±{metric.text(spread.std)}")


def _counted(spread: Spread | None) -> str:
    if spread is None:
        return ""
    return count(spread.mean) + ("" if math.isnan(spread.std) else f" ±{count(spread.std)}")


def _sized(number: float | None) -> str:
    return "" if number is None else count(number)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value.get("name", str(value))
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value) if isinstance(value, float) else value
