"""The Runs page: every run of this place, and what can be done with each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.draw.labels import count
from nasviz.runs import RunSummary
from nasviz.ui import frame, run_facts, session
from nasviz.ui.options import options

__all__ = ["choose_run", "line", "run_list"]


@frame.tell_errors
def run_list() -> None:
    """Show all runs; the chosen one can be opened, cancelled, resumed or deleted."""
    summaries = session.store().list()
    if not summaries:
        st.info(f"No run yet in {options().runs}.", icon=":material/info:")
        frame.next_steps("Search and train")
        return
    event = st.dataframe(
        [_row(summary) for summary in summaries],
        key="runs",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "progress": st.column_config.ProgressColumn(format="percent", min_value=0.0, max_value=1.0),
            "full": st.column_config.NumberColumn("acc. full", format="percent"),
            "subnet": st.column_config.NumberColumn("acc. sub-net", format="percent"),
        },
    )
    rows = event["selection"]["rows"]
    if not rows or rows[0] >= len(summaries):
        st.caption("Choose a run by the box at its left.")
        return
    _actions(summaries[rows[0]])


def choose_run(summaries: Sequence[RunSummary], key: str) -> str | None:
    """A choice among runs, the current one first."""
    ids = [summary.id for summary in summaries]
    if not ids:
        return None
    known = session.current().run_id
    by_id = {summary.id: summary for summary in summaries}
    chosen = st.selectbox(
        "Run",
        ids,
        ids.index(known) if known in ids else 0,
        format_func=lambda run_id: line(by_id[run_id]),
        key=f"{key}.{known}",
    )
    session.current().run_id = chosen
    session.write_link()
    return chosen


def line(summary: RunSummary) -> str:
    """Network, settings and time of a run in one line."""
    settings = summary.settings
    if settings is None:
        return summary.id
    source = settings.network
    name = source.entry.title if source.entry else source.name
    when = time.strftime("%d %b %H:%M", time.localtime(summary.created))
    return f"{name} · {run_facts.describe(settings)} · {when}"


def _row(summary: RunSummary) -> dict[str, Any]:
    settings, result = summary.settings, summary.result
    return {
        "state": summary.state,
        "network": settings.network.name if settings else "",
        "K": str(settings.target_sparsity) if settings else "",
        "optimizer": settings.optimizer if settings else "",
        "data": settings.data if settings else "",
        "seed": settings.seed if settings else None,
        "progress": summary.progress,
        "full": result.get("accuracy_full"),
        "subnet": result.get("accuracy_subnet"),
        "parameters": _change(result, "params"),
        "MACs": _change(result, "macs"),
        "created": time.strftime("%Y-%m-%d %H:%M", time.localtime(summary.created)),
        "id": summary.id,
        "note": summary.problem or summary.error or "",
    }


def _change(result: Any, what: str) -> str:
    if f"{what}_after" not in result:
        return ""
    return f"{count(result[f'{what}_before'])} → {count(result[f'{what}_after'])}"


def _actions(summary: RunSummary) -> None:
    run = session.store().open(summary.id)
    state = run_facts.state_of(run)
    st.markdown(f"**{line(summary)}** {run_facts.badge(state)}")
    with st.container(horizontal=True):
        if st.button("Open", type="primary", icon=":material/open_in_full:"):
            _open(summary)
            st.switch_page(frame.PAGES["Search and train"].script, query_params=session.link())
        if state == "done" and st.button("Sub-network", icon=":material/content_cut:"):
            _open(summary)
            st.switch_page(frame.PAGES["Sub-network"].script, query_params=session.link())
        if state in run_facts.AT_WORK and st.button("Cancel", icon=":material/stop:"):
            with st.spinner("Cancelling …"):
                jobs.cancel_run(run, wait_s=5)
            st.rerun()
        if state in run_facts.RESUMABLE and st.button("Resume", icon=":material/play_arrow:"):
            jobs.start_run(run)
            st.rerun()
        if state not in run_facts.AT_WORK:
            with st.popover("Delete", icon=":material/delete:"):
                st.write("The run moves to the folder .trash, from where it can be moved back.")
                if st.button("Delete it", key="delete"):
                    session.store().delete(summary.id)
                    session.forget_run(summary.id)
                    st.rerun()


def _open(summary: RunSummary) -> None:
    """Make the run and its network the current ones."""
    if summary.settings is not None:
        session.open_network(summary.settings.network)
    session.current().run_id = summary.id
