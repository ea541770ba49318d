"""The Trace graph page: all operator calls, with modules that open and close."""

from __future__ import annotations

import streamlit as st

from nasviz.draw.collapse import opening
from nasviz.graph import SearchSpace
from nasviz.ui import frame, session
from nasviz.ui.component import toggled_in
from nasviz.ui.parts import colours, graphs, plans

__all__ = ["trace_graph"]

GRAPH = "trace-graph"


@frame.Page(
    "Trace graph",
    2,
    icon=":material/account_tree:",
    invitation="View all operators",
    lead="Every operator call of the network, grouped by module.",
    group="Analyze",
    is_workspace=True,
    followed_by=(
        "Segment graph",
        "Dependency graph",
    ),
)
def trace_graph() -> None:
    """Show the trace graph of the current network."""
    head = frame.head("Trace graph")
    state, analysis = session.current(), session.require_analysis()
    space = session.space()
    place = f"opened {analysis.key}"
    if place not in state.choices:
        state.choices[place] = opening(space.trace)
    view = graphs.trace_of(session.key_of(space), state.choices[place], space)
    # Before the graph is drawn, because a rerun would take twice as long.
    if path := toggled_in(view, GRAPH):
        state.choices[place] = graphs.toggle(state.choices[place], path)
        view = graphs.trace_of(session.key_of(space), state.choices[place], space)
    with head:
        colour = _toolbar(space, place)
    plan = plans.plan_of(space, state.marked, state.gates)
    overlay = colours.painted(view, space, colour, plan)
    selection = graphs.show(view, space, key=GRAPH, overlay=overlay, selected=state.linked)
    graphs.remember(selection)
    st.caption(
        f"{len(space.trace):,} operators, {space.trace.num_edges:,} edges. Double-click a module to open it,"
        " or the title of an open module to close it."
    )


def _toolbar(space: SearchSpace, place: str) -> str:
    choices = session.current().choices
    modules = frozenset(path for vertex in space.trace for path in vertex.scope if path)

    def leave_open(opened: frozenset[str]) -> None:
        choices[place] = opened

    colour = colours.choose()
    if modules:  # callbacks run before the script, so that both buttons see the change
        st.button(
            "Expand all",
            icon=":material/unfold_more:",
            disabled=modules <= choices[place],
            on_click=leave_open,
            args=(modules,),
        )
        st.button(
            "Collapse all",
            icon=":material/unfold_less:",
            disabled=not choices[place],
            on_click=leave_open,
            args=(frozenset(),),
        )
    return colour
