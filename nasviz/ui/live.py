"""A run on a page: live while it works, with pause and cancel; with a time slider once it has ended."""

from __future__ import annotations

from functools import reduce

import streamlit as st

from nasviz import jobs
from nasviz.draw import GraphView, Overlay, saliency_overlay, state_overlay
from nasviz.draw.live_frame import last_scores, live_frame, until
from nasviz.graph import SearchSpace
from nasviz.runs import Run, Tail
from nasviz.runs.files import LOG
from nasviz.runs.tail import read_position
from nasviz.ui import frame, genotypes, graphs, pruning, run_facts
from nasviz.ui.component import graph_view, live_view, paint_message
from nasviz.ui.run_facts import AT_WORK
from nasviz.ui.words import inert

__all__ = ["watch"]

REFRESH_S = 0.5
ROWS = 1500
"""Steps that are read of a long run: more than a screen can show."""
GRAPH = "live-graph"
MARKS = {"selected": "selected", "orphaned": "selected", "zero": "erased"}
"""State of a structure while training, and how it is painted."""


def watch(run: Run) -> None:
    """Show a run at work or at its end."""
    state = run_facts.state_of(run)
    _head(run, state)
    space = run_facts.space_of(run)
    tail = _read(run)
    left, right = st.columns([1.4, 1], gap="medium")
    view = None
    with right:
        if space is not None:
            view = graphs.segments_of(f"run {run.id}", space)
            graph_view(view, key=GRAPH, overlay=_overlay(view, space, tail), height=700)
    with left:
        if state in AT_WORK:
            st.fragment(_follow, run_every=REFRESH_S)(run, space, view, state)
        else:
            st.fragment(_replay)(run, space, view)
    pruning.pruning_table(run)
    if space is not None:
        genotypes.while_searching(run, space, is_at_work=state in AT_WORK)
    with st.expander("Settings and all events", icon=":material/list:"):
        events = [{"step": e.step, "event": e.kind, "what": e.text} for e in tail.events]
        st.dataframe(events, hide_index=True)
        if words := run_facts.equality(tail):
            st.caption(inert(words))
        st.json(run.settings.to_json(), expanded=False)


def _head(run: Run, state: str) -> None:
    words, buttons = st.columns([2, 1], vertical_alignment="center")
    words.markdown(f"**{inert(run_facts.title(run))}** · {inert(run_facts.describe(run.settings))}")
    if run.cut_from is not None:
        words.caption(f"The network is the sub-network of run `{run.cut_from}`, with its weights.")
    with buttons.container(horizontal=True, horizontal_alignment="right"):
        _buttons(run, state)
    end = run.end
    if state == "failed" and end is not None and end.error:
        st.error(f"The run failed. {end.error}", icon=":material/error:")
    elif state == "done" and not run_facts.has_subnet(run):
        words_of_it = "The selection cuts the outputs off, so there is no sub-network: invalid, no path left."
        st.warning(words_of_it, icon=":material/link_off:")
    elif state == "crashed":
        words_of_it = "The worker ended without a word: it was killed, or the machine went down."
        st.warning(f"{words_of_it} Resume goes on from its last checkpoint.", icon=":material/warning:")
    elif state == "created":
        _tell_start(run)


def _buttons(run: Run, state: str) -> None:
    if state == "running" and st.button("Pause", icon=":material/pause:", key="pause"):
        run.request("pause")
        st.rerun()
    if state == "paused" and st.button("Go on", icon=":material/play_arrow:", key="go-on"):
        run.request("resume")
        st.rerun()
    if state in AT_WORK and st.button("Cancel", icon=":material/stop:", key="cancel"):
        with st.spinner("Cancelling …"):
            jobs.cancel_run(run, wait_s=5)
        st.rerun()
    word = "Start" if state == "created" else "Resume"
    if state in run_facts.RESUMABLE and st.button(word, icon=":material/play_arrow:", key="again"):
        jobs.start_run(run)
        st.rerun()


def _tell_start(run: Run) -> None:
    """Why a run has not begun."""
    log = run.folder / LOG
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    if lines:
        st.error(f"The worker ended before it began: {lines[-1][:400]}", icon=":material/error:")
    else:
        st.info("This run was never started.", icon=":material/info:")


@frame.tell_errors
def _follow(run: Run, space: SearchSpace | None, view: GraphView | None, shown: str) -> None:
    """One look at a run that is at work. The whole page is made anew where buttons or the graph change."""
    if run_facts.state_of(run) != shown or (space is None and run_facts.space_of(run) is not None):
        st.rerun()
    tail = _read(run)
    if not len(tail.steps):
        st.progress(0.0, text="The worker loads torch and traces the network …")
    _show(tail, shown, space, view)


@frame.tell_errors
def _replay(run: Run, space: SearchSpace | None, view: GraphView | None) -> None:
    """A run that has ended, at the step that the slider chooses."""
    tail = _read(run)
    if not len(tail.steps):
        st.info("No step was recorded.", icon=":material/info:")
        return
    step = last = int(tail.steps["step"][-1])
    if last > 0:
        step = st.slider("Replay to step", 0, last, last, key=f"replay.{run.id}")
    _show(tail if step == last else until(tail, step), run.state, space, view)


def _show(tail: Tail, state: str, space: SearchSpace | None, view: GraphView | None) -> None:
    names = {s.id: s.name for s in space.structures} if space is not None else {}
    now = live_frame(tail, state=state, names=names)
    messages = []
    if space is not None and view is not None:
        messages.append(paint_message(view, GRAPH, _overlay(view, space, tail)))
    live_view(now, key="live", paint=messages)


def _overlay(view: GraphView, space: SearchSpace, tail: Tail) -> Overlay:
    """Scores as colours; what was selected, and what is zero already."""
    layers = [saliency_overlay(view, space, last_scores(tail))]
    layers += [
        state_overlay(view, space.segments[structure.id].vertices, MARKS[structure.state])
        for structure in live_frame(tail).structures
        if structure.state in MARKS
    ]
    return reduce(Overlay.__or__, layers)


def _read(run: Run) -> Tail:
    """All of a short run, every n-th step of a long one."""
    last_step, _ = read_position(run.folder)
    return run.tail(every=max(1, last_step // ROWS))
