"""The Trace graph page: every operator call, with modules that open and close."""

from __future__ import annotations

import streamlit as st

from nasviz.draw import GraphView, Overlay, cost_overlay, state_overlay
from nasviz.draw.collapse import opening
from nasviz.graph import SearchSpace
from nasviz.ui import frame, graphs, session
from nasviz.ui.controls import keep, kept

__all__ = ["trace_graph"]

COLOURS = {
    "What it is": "by the kind of operator",
    "MACs": "by multiply-accumulates",
    "Parameters": "by trainable numbers",
    "What can go": "removal structures",
}


@frame.tell_errors
def trace_graph() -> None:
    """Show the trace graph of the current network."""
    state, analysis = session.current(), session.require_analysis()
    space = session.space()
    place = f"opened {analysis.key}"
    opened = state.choices.get(place, opening(space.trace))
    colour, opened = _toolbar(space, opened)
    state.choices[place] = opened
    view = graphs.trace_of(session.key_of(space), opened, space)
    selection = graphs.show(
        view, key="trace-graph", overlay=_overlay(view, space, colour), selected=state.linked
    )
    graphs.remember(selection)
    if selection.toggled:
        state.choices[place] = graphs.toggle(opened, selection.toggled)
        st.rerun()
    st.caption(
        f"{len(space.trace):,} operators, {space.trace.num_edges:,} edges. Double-click a module to open it,"
        " the title of an open one to close it."
    )


def _toolbar(space: SearchSpace, opened: frozenset[str]) -> tuple[str, frozenset[str]]:
    modules = frozenset(path for vertex in space.trace for path in vertex.scope if path)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        known = kept("view", "What it is")
        colour = st.segmented_control(
            "Colour",
            list(COLOURS),
            default=known if known in COLOURS else "What it is",
            required=True,
            key="trace.colour",
        )
        keep("view", colour)
        if modules:
            if st.button("Open all", icon=":material/unfold_more:", disabled=modules <= opened):
                opened = modules
            if st.button("Close all", icon=":material/unfold_less:", disabled=not opened):
                opened = frozenset()
    return colour or "What it is", opened


def _overlay(view: GraphView, space: SearchSpace, colour: str) -> Overlay | None:
    if colour == "MACs":
        return cost_overlay(view, space.trace, "macs")
    if colour == "Parameters":
        return cost_overlay(view, space.trace, "parameters")
    if colour == "What can go":
        vertices = [vertex for s in space.removable for vertex in s.vertices]
        return state_overlay(view, vertices, "selected", "Removal structures")
    return None
