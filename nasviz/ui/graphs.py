"""Graphs on a page: the laid-out view with its table, and one chosen vertex between the two."""

from __future__ import annotations

import streamlit as st

from nasviz.draw import GraphView, Overlay, dependency_view, segment_view, trace_view
from nasviz.graph import SearchSpace
from nasviz.ui import session
from nasviz.ui.component import GraphSelection, graph_view

__all__ = ["dependencies_of", "picture", "remember", "segments_of", "show", "toggle", "trace_of"]

HEIGHT = 660


@st.cache_resource(max_entries=24, show_spinner="Laying the graph out …")
def trace_of(key: str, opened: frozenset[str] | None, _space: SearchSpace) -> GraphView:
    """The trace graph of the space that `key` stands for, with these modules open."""
    return trace_view(_space.trace, opened, space=_space)


@st.cache_resource(max_entries=12, show_spinner="Laying the graph out …")
def segments_of(key: str, _space: SearchSpace) -> GraphView:
    """The segment graph of the space that `key` stands for."""
    return segment_view(_space)


@st.cache_resource(max_entries=12, show_spinner="Laying the graph out …")
def dependencies_of(key: str, _space: SearchSpace) -> GraphView:
    """The dependency graph of the space that `key` stands for."""
    return dependency_view(_space)


def show(
    view: GraphView,
    *,
    key: str,
    overlay: Overlay | None = None,
    selected: str | None = None,
    height: int = HEIGHT,
) -> GraphSelection:
    """Show a graph and, folded up below it, the same as a table; choosing in either chooses in both.

    Args:
        view: What to show.
        key: Of the widgets.
        overlay: What is painted over it.
        selected: Key of a vertex that something else on the page has chosen.
        height: Of the drawing in pixels.
    """
    place = st.container()
    with st.expander("The same as a table", icon=":material/table:"):
        row = _table(view, f"{key}.table")
    chosen = view.drawing.vertices[row].key if row is not None else selected
    with place:
        return graph_view(view, key=key, overlay=overlay, selected=chosen, height=height)


def picture(
    view: GraphView, *, key: str, overlay: Overlay | None = None, height: int = HEIGHT, sync: str = ""
) -> None:
    """Show a graph and nothing else; what is chosen in it stays in it."""
    graph_view(view, key=key, overlay=overlay, height=height, sync=sync)


def remember(selection: GraphSelection) -> None:
    """Put the chosen vertex into the session and the address."""
    if selection.vertex is not None and selection.vertex.members:
        state = session.current()
        state.vertex = selection.vertex.members[0]
        if state.vertex != state.linked:
            state.linked = None


def _table(view: GraphView, key: str) -> int | None:
    event = st.dataframe(
        view.table(),
        key=key,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "parameters": st.column_config.NumberColumn(format="localized"),
            "macs": st.column_config.NumberColumn("MACs", format="localized"),
        },
    )
    rows = event["selection"]["rows"]
    return rows[0] if rows and rows[0] < len(view.drawing.vertices) else None


def toggle(opened: frozenset[str], path: str) -> frozenset[str]:
    """Open a module that is closed, close one that is open."""
    return opened ^ {path}
