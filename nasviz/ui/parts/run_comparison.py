"""Comparison of runs: curves, differing settings and Pareto front."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from nasviz.catalog import Metric, metric_of
from nasviz.draw.charts import Point, pareto_chart
from nasviz.draw.run_charts import comparison_chart
from nasviz.errors import DataError
from nasviz.runs import RunSummary, Tail, differing_settings
from nasviz.runs.records import has_penalty
from nasviz.runs.tail import read_position
from nasviz.ui import session
from nasviz.ui.parts import figures, run_actions, run_facts
from nasviz.ui.parts.controls import keep, kept

__all__ = ["COSTS", "curves", "follow_click", "front", "points_of"]

MAX_RUNS = 12
"""Number of curves that remain distinguishable."""
ROWS = 800
"""Maximum number of steps read of each run."""
COSTS = {"Parameters": "params_after", "MACs": "macs_after"}
COLUMNS = {"Loss and accuracy": ("loss", "accuracy"), "Zero groups and learning rate": ("zero_groups", "lr")}
PENALISED = {"Objective and penalty": ("objective", "penalty")}


def curves(summaries: Sequence[RunSummary]) -> None:
    """Show the recorded curves of the runs and the settings in which they differ."""
    shown = summaries[:MAX_RUNS]
    if len(shown) < len(summaries):
        st.caption(f"The first {MAX_RUNS} of {len(summaries)} runs.")
    tails = {name_of(summary, shown): tail for summary in shown if (tail := _tail(summary)) is not None}
    tails = {name: tail for name, tail in tails.items() if len(tail.steps)}
    if not tails:
        return
    known = {**COLUMNS, **(PENALISED if any(map(has_penalty, tails.values())) else {})}
    what = st.segmented_control(
        "Curves", tuple(known), default="Loss and accuracy", required=True, key="runs.curves"
    )
    st.plotly_chart(comparison_chart(tails, known[what]), key=f"curves.{what}")
    if len(shown) > 1:
        _differences(shown)
        figures.of_runs({name_of(s, shown): session.store().open(s.id) for s in shown if s.result})


def front(summaries: Sequence[RunSummary], key: str) -> None:
    """Show the first metric over cost of the sub-networks; clicking a point opens its run."""
    summaries = [summary for summary in summaries if "accuracy_subnet" in summary.result]
    if not summaries:
        return
    st.markdown("##### Pareto front")
    metric = choose_metric({metric_of(summary.result) for summary in summaries}, key)
    summaries = [summary for summary in summaries if metric_of(summary.result) == metric]
    cost = st.segmented_control(
        "Cost",
        tuple(COSTS),
        default="Parameters",
        required=True,
        key=f"cost.{key}",
        label_visibility="collapsed",
    )
    gain = f"{metric.title} of the sub-network"
    figure = pareto_chart(points_of(summaries, cost), cost=cost, gain=gain, metric=metric)
    event = st.plotly_chart(figure, key=_chart_key(key), on_select="rerun", selection_mode="points")
    st.caption("The dotted line is the Pareto front. Click a point to open its sub-network.")
    follow_click(event, summaries)


def choose_metric(metrics: Iterable[Metric], key: str) -> Metric:
    """Return the metric to compare runs by: the only one, or the one that is chosen."""
    titles = {metric.title: metric for metric in sorted(metrics, key=lambda metric: metric.title)}
    if len(titles) == 1:
        return next(iter(titles.values()))
    chosen = st.segmented_control(
        "Metric", tuple(titles), default=next(iter(titles)), required=True, key=f"metric.{key}"
    )
    return titles[chosen]


def points_of(summaries: Sequence[RunSummary], cost: str) -> list[Point]:
    """Return one point per run with a sub-network."""
    return [
        Point(
            name=name_of(summary, summaries),
            cost=float(summary.result[COSTS[cost]]),
            gain=float(summary.result["accuracy_subnet"]),
            series=summary.settings.method.title if summary.settings else "",
            key=summary.id,
        )
        for summary in summaries
        if "accuracy_subnet" in summary.result and COSTS[cost] in summary.result
    ]


def follow_click(event: Any, summaries: Sequence[RunSummary]) -> None:
    """Open the sub-network of the clicked run."""
    for point in event["selection"]["points"]:
        found = point.get("customdata")
        run_id = found[0] if isinstance(found, list) else found
        for summary in summaries:
            if summary.id == run_id:
                # A new key clears the selection of the chart, which would open the run again.
                keep("runs.clicks", kept("runs.clicks", 0) + 1)
                run_actions.open_run(summary, "Sub-network")


def _chart_key(key: str) -> str:
    return f"front.{key}.{kept('runs.clicks', 0)}"


def name_of(summary: RunSummary, among: Sequence[RunSummary]) -> str:
    """Return a label that distinguishes a run: its name, or its main settings."""
    if summary.labels.name:
        return summary.labels.name
    if summary.settings is None:
        return summary.id
    settings = summary.settings
    k = settings.value("target_sparsity", "-")
    words = f"{settings.network.name}, {settings.method.name}, K {k}"
    words += ", own loop" if settings.is_watched else f", seed {settings.seed}"
    twins = [
        s
        for s in among
        if s.id != summary.id and s.settings and run_facts.have_same_label(s.settings, settings)
    ]
    return f"{words}, {summary.id[-6:]}" if twins else words


def _tail(summary: RunSummary) -> Tail | None:
    """Return the record of a run; None if it is empty or damaged."""
    try:
        run = session.store().open(summary.id)
        last_step, _ = read_position(run.folder)
        return run.tail(every=max(1, last_step // ROWS)) if last_step >= 0 else None
    except DataError:
        return None


def _digest(summary: RunSummary) -> str | None:
    found = summary.result.get("latencies")
    return str(found.get("sha256")) if isinstance(found, Mapping) else None


def _differences(summaries: Sequence[RunSummary]) -> None:
    settings = {name_of(s, summaries): s.settings for s in summaries if s.settings is not None}
    found = differing_settings(settings)
    measured = {name_of(s, summaries): str(_digest(s))[:12] for s in summaries if _digest(s) is not None}
    if len(set(measured.values())) > 1:  # even runs with equal seeds use different measurements
        found = {**found, "measured latencies (SHA-256)": measured}
    if not found:
        st.caption("These runs have identical settings.")
        return
    with st.expander("Differing settings", icon=":material/difference:", expanded=True):
        rows = [
            {"setting": name} | {run: str(value) for run, value in row.items()} for name, row in found.items()
        ]
        st.dataframe(rows, hide_index=True)
