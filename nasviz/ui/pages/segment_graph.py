"""The Segment graph page: removable structures and a preview of their removal."""

from __future__ import annotations

import streamlit as st

from nasviz.catalog import NetworkSource
from nasviz.graph import ConstructionPlan, SearchSpace
from nasviz.ui import frame, session
from nasviz.ui.parts import collapsing, colours, gates_and_switches, graphs, plans

__all__ = ["segment_graph"]


@frame.Page(
    "Segment graph",
    3,
    icon=":material/segment:",
    invitation="Find removable structures",
    lead="Segments are runs of operators that are erased as a whole. Removable ones are green.",
    group="Analyze",
    is_workspace=True,
    followed_by=(
        "Dependency graph",
        "Search and train",
    ),
)
def segment_graph() -> None:
    """Show the segment graph of the current network and preview removals."""
    head = frame.head("Segment graph")
    state, space = session.current(), session.space()
    with head:
        colour = colours.choose()
        saved = st.container(width="content")
    plan = plans.plan_of(space, state.marked, state.gates)
    if plan is not None:
        saved.markdown(plans.plan_line(plan))
    view = graphs.segments_of(session.key_of(space), space)
    overlay = colours.painted(view, space, colour, plan)
    selection = graphs.show(
        view,
        space,
        key="segment-graph",
        overlay=overlay,
        selected=_linked(space),
        preview=lambda about: _offer(space, space.segments.of(about.vertex).id),
    )
    if selection.erased is not None:
        _toggle(space, int(selection.erased.key))
    graphs.remember(selection)
    _preview(space, plan)
    collapsing.collapsing(space)
    gates_and_switches.show(space)


def _linked(space: SearchSpace) -> str | None:
    """Return the segment of the vertex selected by the address or another page."""
    vertex = session.current().linked
    return str(space.segments.of(vertex).id) if vertex and vertex in space.trace else None


def _offer(space: SearchSpace, segment_id: int) -> str:
    """Return the label of the button that adds a segment to the preview or removes it; empty if none."""
    state = session.current()
    is_gate = segment_id in {gate.id for gate in space.gates}
    if segment_id in state.marked + state.gates:
        return "Restore"
    if is_gate:
        return "Preview replacing"
    return "Preview erasing" if segment_id in {s.id for s in space.removable} else ""


def _toggle(space: SearchSpace, segment_id: int) -> None:
    """Add a structure or a gate to the preview, or remove it from there."""
    state = session.current()
    if segment_id in {gate.id for gate in space.gates}:
        state.gates = tuple(sorted(set(state.gates) ^ {segment_id}))
    else:
        state.marked = tuple(sorted(set(state.marked) ^ {segment_id}))
    st.rerun()


def _preview(space: SearchSpace, plan: ConstructionPlan | None) -> None:
    """Show the choice of what the preview removes, and its effect."""
    state = session.current()
    left, right = st.columns([1, 1.4], gap="large")
    with left:
        st.markdown("##### Preview")
        names = {s.id: f"{s.id} · {s.name}" for s in space.removable}
        marked = st.multiselect(
            "Structures to erase",
            list(names),
            default=[i for i in state.marked if i in names],
            format_func=names.__getitem__,
            key=f"marked.{state.marked}.{sorted(state.protect)}.{space.collapse}",
            placeholder="Choose structures",
            label_visibility="collapsed",
        )
        key = f"gates.{state.gates}.{sorted(state.protect)}.{space.collapse}"
        gates = gates_and_switches.choose_gates(space, "Gates to replace by their value at zero", key)
        if (tuple(sorted(marked)), gates) != (state.marked, state.gates):
            state.marked, state.gates = tuple(sorted(marked)), gates
            st.rerun()
        _published(space)
        if plan is None:
            most = f"At most {space.max_sparsity} of {len(space.removable)} structures can be erased together"
            st.caption(f"{most}. A preview does not change the network.")
    if plan is not None:
        with right:
            plans.plan_metrics(plan)
            plans.plan_story(space, plan)


def _published(space: SearchSpace) -> None:
    """Offer the published redundant structures of the current network."""
    state = session.current()
    entry = state.source.entry if isinstance(state.source, NetworkSource) else None
    if entry is None or entry.selection is None:
        return
    ids = tuple(sorted(space.structures_of(entry.selection.modules)))
    if len(ids) == len(entry.selection.modules) and ids != state.marked and space.is_valid(ids):
        words = f"Erase as in {entry.selection.source}"
        if st.button(words, icon=":material/menu_book:", key="published"):
            state.marked = ids
            st.rerun()
