"""View of a run: live while it is active, with a time slider once it has ended."""

from __future__ import annotations

import streamlit as st

from nasviz import jobs
from nasviz.draw import state_overlay
from nasviz.draw.labels import settings_line
from nasviz.errors import StorageError
from nasviz.graph.space import protection_text
from nasviz.runs import Run
from nasviz.runs.files import last_line
from nasviz.ui import frame, session
from nasviz.ui.component import graph_view
from nasviz.ui.parts import figures, genotypes, graphs, replay, run_facts
from nasviz.ui.parts.escaping import inert
from nasviz.ui.parts.run_facts import AT_WORK
from nasviz.ui.parts.scene import GRAPH, Scene

__all__ = ["watch"]

REFRESH_S = 0.5
HEIGHT = 700
"""Height of the graph in pixels."""


def watch(run: Run) -> None:
    """Show a run, active or finished."""
    state = run_facts.state_of(run)
    _header(run, state)
    space = run_facts.searched_space_of(run)
    tail = run_facts.read(run)
    left, right = st.columns([1.4, 1], gap="medium")
    view = None
    with right:
        if space is not None:
            view = graphs.segments_of(f"run {run.id}", space)
            scene = Scene(run, space, view)
            graph_view(view, key=GRAPH, overlay=scene.overlay(tail), about=scene.about(tail), height=HEIGHT)
        elif state in AT_WORK:
            _graph_placeholder(run)
    scene = Scene(run, space, view)
    with left:
        if state in AT_WORK and not replay.is_replaying(scene):
            st.fragment(_follow, run_every=REFRESH_S)(scene, state)
        else:
            replay.replay(scene)
    figures.pruning_table(run)
    figures.of_run(run)
    if (now := run_facts.space_of(run)) is not None:
        genotypes.while_searching(run, now, is_at_work=state in AT_WORK)
    with st.expander("Settings and all events", icon=":material/list:"):
        events = [{"step": e.step, "event": e.kind, "what": e.text} for e in tail.events]
        st.dataframe(events, hide_index=True)
        if words := run_facts.equality(tail):
            st.caption(inert(words))
        st.json(run.settings.to_json(), expanded=False)


def _graph_placeholder(run: Run) -> None:
    """Show the graph of the current network while the worker traces, if it is that of the run."""
    state, settings = session.current(), run.settings
    constraints = tuple(map(protection_text, sorted(state.protect))), state.collapse
    if state.analysis is None or (state.source, *constraints) != (
        settings.network,
        settings.protect,
        settings.collapse,
    ):
        st.info(
            "The segment graph appears here once the worker has traced the network.",
            icon=":material/hourglass_top:",
        )
        return
    space = session.space()
    view = graphs.segments_of(session.key_of(space), space)
    protected = space.segments.vertices_of(space.protected)
    graph_view(view, key=GRAPH, overlay=state_overlay(view, protected, "protected"), height=HEIGHT)
    st.caption("Colours appear with the first scores.")


def _header(run: Run, state: str) -> None:
    words, buttons = st.columns([2, 1], vertical_alignment="center")
    name = run.labels.name if run.settings.is_watched else ""
    words.markdown(f"**{inert(name or run_facts.title(run))}** · {inert(settings_line(run.settings))}")
    now = run_facts.read(run).facts.get("target_sparsity") if run.settings.is_watched else None
    if now is not None and now != run.settings.value("target_sparsity", now):
        words.caption(f"K was changed while the loop was running; it is {inert(str(now))}.")
    if run.cut_from is not None:
        words.caption(f"The network is the sub-network of run `{run.cut_from}`, with its weights.")
    with buttons.container(horizontal=True, horizontal_alignment="right"):
        _buttons(run, state)
    end = run.end
    if state == "failed" and end is not None and end.error:
        st.error(f"The run failed. {inert(end.error)}", icon=":material/error:")
    elif state == "done" and end is not None and end.result.get("outcome") == "not constructed":
        st.info("The loop has ended without constructing a sub-network.", icon=":material/info:")
    elif state == "done" and not run_facts.has_subnet(run):
        st.warning(
            "Invalid: the selected structures disconnect the outputs (no path left), so there"
            " is no sub-network.",
            icon=":material/link_off:",
        )
    elif state == "done" and end is not None and end.result.get("diverged"):
        st.warning(inert(str(end.result["diverged"])), icon=":material/trending_up:")
    elif state == "crashed":
        if run.settings.is_watched:
            st.warning(
                "The loop ended without `rec.finish()`. Resume it from its own checkpoint with"
                f" `nasviz.watch(run={run.id!r})`.",
                icon=":material/warning:",
            )
            return
        reason = inert(_storage_error(run))
        reason = reason or "The worker stopped unexpectedly (killed, or the machine shut down)."
        st.warning(f"{reason} Resume continues from the last checkpoint.", icon=":material/warning:")
    elif state == "created":
        _explain_start(run)


def _buttons(run: Run, state: str) -> None:
    is_watched = run.settings.is_watched
    if is_watched and state == "running":
        _offer_target(run)
    obeys = run_facts.obeys(run)
    if state == "running" and obeys and st.button("Pause", icon=":material/pause:", key="pause"):
        run.request("pause")
        st.rerun()
    if state == "paused" and st.button("Resume", icon=":material/play_arrow:", key="go-on"):
        run.request("resume")
        st.rerun()
    if state in AT_WORK and obeys and st.button("Cancel", icon=":material/stop:", key="cancel"):
        with st.spinner("Cancelling …"):
            jobs.cancel_run(run, wait_s=5)
        st.rerun()
    word = "Start" if state == "created" else "Resume"
    if (
        state in run_facts.RESUMABLE
        and not is_watched
        and st.button(word, icon=":material/play_arrow:", key="again")
    ):
        jobs.start_run(run)
        st.rerun()


def _offer_target(run: Run) -> None:
    """Offer another K for a watched loop that asks for requests, as long as its warm-up lasts."""
    tail = run_facts.read(run)
    known, limit = tail.facts.get("target_sparsity"), tail.facts.get("max_sparsity")
    is_open = not any(event.kind == "selected" for event in tail.events)
    if not (run_facts.obeys(run) and is_open and isinstance(known, int) and isinstance(limit, int) and limit):
        return
    with st.popover("Change K", icon=":material/tune:"):
        st.caption("The loop takes the new K at its next step. After the warm-up, the selection is made.")
        k = st.number_input("K: structures to remove", 0, limit, min(known, limit), key="new-k")
        if st.button("Apply", key="apply-k"):
            run.request_target(int(k))


def _explain_start(run: Run) -> None:
    """Explain why a run has not started."""
    if line := _last_line(run):
        st.error(f"The worker failed to start: {inert(line)}", icon=":material/error:")
    else:
        st.info("This run has not been started.", icon=":material/info:")


def _last_line(run: Run) -> str:
    """Return the last line of the worker's log."""
    return last_line(run.folder)[:400]


def _storage_error(run: Run) -> str:
    """Return the storage error that kept the worker from recording its end; empty if there is none."""
    line = _last_line(run)
    return f"{line.partition(': ')[2]}." if line.startswith(StorageError.__name__) else ""


@frame.handle_errors
def _follow(scene: Scene, shown: str) -> None:
    """Refresh an active run. Rerun the page when its buttons or its graph change."""
    run = scene.run
    is_traced = scene.space is None and run_facts.space_of(run) is not None
    if run_facts.state_of(run) != shown or is_traced:
        st.rerun()
    tail = run_facts.read(run)
    with st.container():  # same element position as the player of a replay: the live view is not remounted
        if len(tail.steps):
            replay.offer_replay(scene)
        else:
            st.progress(0.0, text="Loading torch and tracing the network …")
        scene.choose(tail)
    scene.show(tail, shown)
