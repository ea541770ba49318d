"""The Segment graph page: removable structures and a preview of their removal."""

from __future__ import annotations

import streamlit as st

from nasviz.catalog import NetworkSource
from nasviz.graph import ConstructionPlan, SearchSpace
from nasviz.ui import frame, session
from nasviz.ui.parts import collapsing, colours, gates_and_switches, graphs, plans
from nasviz.ui.parts.escaping import inert

__all__ = ["segment_graph"]


@frame.Page(
    "Segment graph",
    3,
    icon=":material/segment:",
    invitation="Find removable structures",
    lead="Segments are runs of operators that are erased as a whole. Removable ones are green.",
    group="Analyze",
    followed_by=(
        "Dependency graph",
        "Search and train",
    ),
)
def segment_graph() -> None:
    """Show the segment graph of the current network and preview removals."""
    state, space = session.current(), session.space()
    collapsing.collapsing(space)
    picture, side = st.columns([2.4, 1], gap="medium")
    with side:
        controls = st.container()
    plan = plans.plan_of(space, state.marked, state.gates)
    with picture:
        view = graphs.segments_of(session.key_of(space), space)
        overlay = colours.painted(view, space, colours.choose(), plan)
        selection = graphs.show(view, space, key="segment-graph", overlay=overlay, selected=_linked(space))
        graphs.remember(selection)
    with controls:
        _chosen(space, selection.selected)
        _preview(space, plan)
    gates_and_switches.show(space)


def _linked(space: SearchSpace) -> str | None:
    """Return the segment of the vertex selected by the address or another page."""
    vertex = session.current().linked
    return str(space.segments.of(vertex).id) if vertex and vertex in space.trace else None


def _chosen(space: SearchSpace, key: str | None) -> None:
    """Show the actions for the clicked segment."""
    state = session.current()
    if key is None or not key.isdecimal():
        st.info("Click a segment to see whether it is removable.", icon=":material/touch_app:")
        return
    segment = space.segments[int(key)]
    st.markdown(f"##### {inert(segment.name)}")
    reason = space.why_not(segment.vertices[0])
    is_gate = segment.id in {gate.id for gate in space.gates}
    if reason and segment.id not in state.protect:
        st.caption(f"Not removable: {inert(reason)}.")
        if not is_gate:
            return
    st.caption(f"{segment.num_parameters:,} parameters · {segment.macs:,} MACs")
    with st.container(horizontal=True):
        _preview_button(segment.id, is_gate=is_gate)
        _protect(segment.id)


def _preview_button(segment_id: int, *, is_gate: bool) -> None:
    """Show the button that adds a structure or a gate to the preview, or removes it from there."""
    state = session.current()
    if segment_id in state.protect:
        return
    chosen = state.gates if is_gate else state.marked
    is_marked = segment_id in chosen
    if st.button(
        "Restore" if is_marked else "Preview replacing" if is_gate else "Preview erasing",
        type="secondary" if is_marked else "primary",
        icon=":material/undo:" if is_marked else ":material/ink_eraser:",
        key="erase",
    ):
        changed = tuple(sorted(set(chosen) ^ {segment_id}))
        if is_gate:
            state.gates = changed
        else:
            state.marked = changed
        st.rerun()


def _protect(segment_id: int) -> None:
    is_protected = segment_id in session.current().protect
    if st.button(
        "Unprotect" if is_protected else "Protect",
        icon=":material/lock_open:" if is_protected else ":material/lock:",
        key="protect",
        help="A search never selects protected structures.",
    ):
        session.protect(segment_id)
        st.rerun()


def _preview(space: SearchSpace, plan: ConstructionPlan | None) -> None:
    state = session.current()
    st.divider()
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
        at_most = f"At most {space.max_sparsity} of {len(space.removable)} structures can be erased together"
        st.caption(f"{at_most}. A preview does not change the network.")
        return
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
