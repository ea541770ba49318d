"""The Runs page: all runs of this server, with their actions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import streamlit as st

from nasviz.catalog import ACCURACY, Metric, metric_of
from nasviz.draw.labels import count
from nasviz.runs import RunSummary
from nasviz.ui import frame, session
from nasviz.ui.options import options
from nasviz.ui.parts import ablation, run_actions, run_comparison, run_facts, sweep_form, sweep_list
from nasviz.ui.parts.controls import keep, kept

__all__ = ["run_list"]


VIEWS = ("All runs", "Sweeps", "New sweep", "Ablation", "Trash")
REFRESH_S = 2.0


@frame.Page(
    "Runs",
    8,
    icon=":material/history:",
    invitation="View all runs",
    lead="Monitor, compare and continue runs and sweeps, or start a new sweep.",
    group="Search",
)
def run_list() -> None:
    """Show runs, sweeps, the form for a new sweep, the ablation or the trash."""
    way = st.segmented_control(
        "Show",
        VIEWS,
        default=kept("runs.view", VIEWS[0]),
        required=True,
        key=f"runs.view.{kept('runs.turns', 0)}",  # a new key lets other pages switch the view
        label_visibility="collapsed",
    )
    keep("runs.view", way)
    run_actions.offer_undo()
    if way == "Sweeps":
        sweep_list.sweep_list()
    elif way == "New sweep":
        sweep_form.new_sweep()
    elif way == "Ablation":
        ablation.ablation()
    elif way == "Trash":
        run_actions.trash()
    else:
        _runs()


def _runs() -> None:
    summaries = session.store().list()
    if not summaries:
        st.info(f"No runs yet in {options().runs}.", icon=":material/info:")
        frame.next_steps("Search and train")
        return
    shown = _filtered(summaries)
    if not shown:
        of_sweeps = sum(summary.parent is not None for summary in summaries)
        st.info(
            f"No runs match the filter. {of_sweeps} of {len(summaries)} runs belong to sweeps: see Sweeps.",
            icon=":material/filter_alt:",
        )
        return
    is_busy = any(summary.state in run_facts.AT_WORK for summary in shown)
    st.fragment(_table, run_every=REFRESH_S if is_busy else None)([summary.id for summary in shown])
    chosen = [s for s in shown if s.id in kept("runs.chosen", ())]
    if len(chosen) == 1:
        run_actions.actions(chosen[0], run_facts.line(chosen[0]))
    elif chosen:
        run_actions.actions_on_all(chosen)
    else:
        st.caption("Select a run to open it, or several to compare them.")
    if chosen:
        run_comparison.curves(chosen)
    run_comparison.front(chosen if len(chosen) > 1 else shown, "runs")


def _selected_rows(summaries: Sequence[RunSummary]) -> list[int]:
    """Return the rows of the selected runs."""
    chosen = kept("runs.chosen", ())
    return [place for place, summary in enumerate(summaries) if summary.id in chosen]


def _filtered(summaries: Sequence[RunSummary]) -> list[RunSummary]:
    """Show the filters and return the matching runs."""
    words, state, tags, sweeps = st.columns([2, 1.4, 1.4, 1.1], vertical_alignment="bottom")
    text = words.text_input("Filter", placeholder="name, network, optimizer, note, id", key="runs.text")
    states = state.multiselect("State", sorted({s.state for s in summaries}), placeholder="all", key="runs.s")
    known = sorted({tag for s in summaries for tag in s.labels.tags})
    wanted = tags.multiselect("Tags", known, placeholder="all" if known else "none yet", key="runs.tags")
    every = sweeps.toggle("Sweep runs", kept("runs.every", False), key="runs.of-sweeps")
    keep("runs.every", every)
    return [
        s
        for s in summaries
        if (every or s.parent is None)
        and (not states or s.state in states)
        and (not wanted or set(wanted) & set(s.labels.tags))
        and all(word in _search_text(s) for word in text.lower().split())
    ]


def _search_text(summary: RunSummary) -> str:
    parts = (
        summary.id,
        run_facts.line(summary),
        summary.labels.name,
        summary.labels.note,
        *summary.labels.tags,
    )
    return " ".join(parts).lower()


@frame.handle_errors
def _table(ids: Sequence[str]) -> None:
    """Show the table of runs. Rerun the page when the selection or a state changes."""
    found = {summary.id: summary for summary in session.store().list()}
    summaries = [found[i] for i in ids if i in found]
    if len(summaries) < len(ids):
        st.rerun()
    key = f"runs.table.{hash(tuple(ids))}"
    metrics = {metric_of(summary.result) for summary in summaries if "accuracy_full" in summary.result}
    event = st.dataframe(
        [_row(summary, metrics) for summary in summaries],
        key=key,
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": _selected_rows(summaries)}},
        column_config={
            "progress": st.column_config.ProgressColumn(format="percent", min_value=0.0, max_value=1.0),
            "full": st.column_config.NumberColumn("acc. full", format="percent"),
            "subnet": st.column_config.NumberColumn("acc. sub-net", format="percent"),
            "tags": st.column_config.ListColumn(),
        },
        placeholder="—",
    )
    chosen = tuple(summaries[i].id for i in event["selection"]["rows"] if i < len(summaries))
    states = tuple(summary.state for summary in summaries)
    before = kept("runs.chosen", ()), kept("runs.states", states)
    keep("runs.chosen", chosen)
    keep("runs.states", states)
    if before != (chosen, states):
        st.rerun()


def _row(summary: RunSummary, metrics: set[Metric]) -> dict[str, Any]:
    """Return the row of a run; where runs were measured by other metrics than accuracy, with their names."""
    settings, result = summary.settings, summary.result
    outcome = str(result.get("outcome", "invalid")) if summary.is_invalid else ""
    return {
        "state": summary.state,
        "name": summary.labels.name or (settings.network.name if settings else ""),
        "K": str(settings.value("target_sparsity", "")) if settings else "",
        "optimizer": settings.method.name if settings else "",
        "data": "" if settings is None else "own loop" if settings.is_watched else settings.data,
        "seed": settings.seed if settings and not settings.is_watched else None,
        "progress": summary.progress,
        **_measured(result, metrics),
        "parameters": _change(result, "params"),
        "MACs": _change(result, "macs"),
        "tags": list(summary.labels.tags),
        "created": time.strftime("%Y-%m-%d %H:%M", time.localtime(summary.created)),
        "id": summary.id,
        "note": summary.problem or summary.error or outcome or summary.diverged or summary.labels.note,
    }


def _measured(result: Any, metrics: set[Metric]) -> dict[str, Any]:
    full, small = result.get("accuracy_full"), result.get("accuracy_subnet")
    if metrics <= {ACCURACY}:
        return {"full": full, "subnet": small}
    metric = metric_of(result)
    words = [None if value is None else metric.text(float(value)) for value in (full, small)]
    title = None if full is None else metric.title
    return {"metric": title, "full network": words[0], "sub-network": words[1]}


def _change(result: Any, what: str) -> str:
    before, after = result.get(f"{what}_before"), result.get(f"{what}_after")
    return "" if before is None or after is None else f"{count(before)} → {count(after)}"
