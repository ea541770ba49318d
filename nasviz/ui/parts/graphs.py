"""Graphs on a page: the graph view with its table, which share one selected vertex."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import streamlit as st

from nasviz.draw import GraphView, Overlay, dependency_view, partition_view, segment_view, trace_view
from nasviz.draw.about import About, about
from nasviz.draw.drawing import DrawnVertex
from nasviz.graph import SearchSpace
from nasviz.ui import address, session
from nasviz.ui.component import GraphSelection, chosen_in, graph_view
from nasviz.ui.parts import run_facts

__all__ = [
    "dependencies_of",
    "facts_of",
    "partition_of",
    "picture",
    "remember",
    "segments_of",
    "show",
    "tell",
    "toggle",
    "trace_of",
]

HEIGHT = 660


@st.cache_resource(max_entries=24, show_spinner="Computing the graph layout …")
def trace_of(key: str, opened: frozenset[str] | None, _space: SearchSpace) -> GraphView:
    """Return the trace graph of a space with these modules open; `key` identifies the space."""
    return trace_view(_space.trace, opened, space=_space)


@st.cache_resource(max_entries=12, show_spinner="Computing the graph layout …")
def segments_of(key: str, _space: SearchSpace) -> GraphView:
    """Return the segment graph of a space; `key` identifies it."""
    return segment_view(_space)


@st.cache_resource(max_entries=12, show_spinner="Computing the graph layout …")
def dependencies_of(key: str, _space: SearchSpace) -> GraphView:
    """Return the dependency graph of a space; `key` identifies it."""
    return dependency_view(_space)


@st.cache_resource(max_entries=12, show_spinner="Computing the graph layout …")
def partition_of(key: str, _space: SearchSpace) -> GraphView:
    """Return the variable partition of a space; `key` identifies it."""
    return partition_view(_space)


def show(
    view: GraphView,
    space: SearchSpace,
    *,
    key: str,
    overlay: Overlay | None = None,
    selected: str | None = None,
    preview: Callable[[About], str] | None = None,
) -> GraphSelection:
    """Show a graph and its table in an expander, with a common selection.

    Args:
        view: Graph to show.
        space: Search space of the graph.
        key: Key of the widgets.
        overlay: Colours and marks of the vertices.
        selected: Key of a vertex selected by another part of the page.
        preview: Returns the label of the button that adds a vertex to the preview; empty for none.
    """
    place = st.container()
    with st.expander("Table view", icon=":material/table:"):
        row = _table(view, f"{key}.table")
    chosen = view.drawing.vertices[row].key if row is not None else selected
    told = tell(view, space, key, chosen)
    if preview is not None:
        told = [replace(about, erase=preview(about)) for about in told]
    with place:
        selection = graph_view(view, key=key, overlay=overlay, selected=chosen, about=told)
    if selection.protected is not None:
        _protect(selection.protected)
    return selection


def tell(view: GraphView, space: SearchSpace, key: str, selected: str | None = None) -> list[About]:
    """Return the facts about the vertices selected in the graph `key` or by `selected`."""
    found = {vertex.id: vertex for vertex in [chosen_in(view, key)] if vertex is not None}
    if selected is not None and (place := view.id_of(selected)):
        found[place] = view.by_id[place]
    if not found:
        return []
    scores, measure = run_facts.scores_on(space)
    return [facts_of(view, vertex, space).scored(scores, measure) for vertex in found.values()]


def facts_of(view: GraphView, vertex: DrawnVertex, space: SearchSpace) -> About:
    """Return the constant facts about a vertex; cached, because a live page needs them twice per second."""
    return _about(f"{view.fingerprint} {vertex.id} {space.protect} {space.collapse}", vertex, space)


@st.cache_data(max_entries=400, show_spinner=False)
def _about(key: str, _vertex: DrawnVertex, _space: SearchSpace) -> About:
    return about(_vertex, _space)


def picture(
    view: GraphView,
    *,
    key: str,
    overlay: Overlay | None = None,
    about: Sequence[About] = (),
    height: int = HEIGHT,
    sync: str = "",
) -> None:
    """Show a graph without a table; its selection is not shared."""
    selection = graph_view(view, key=key, overlay=overlay, about=about, height=height, sync=sync)
    if selection.protected is not None:
        _protect(selection.protected)


def remember(selection: GraphSelection) -> None:
    """Store the selected vertex in the session and the address."""
    if selection.vertex is not None and selection.vertex.members:
        state = session.current()
        state.vertex = selection.vertex.members[0]
        if state.vertex != state.linked:
            state.linked = None
        address.write_link()


def _protect(vertex: DrawnVertex) -> None:
    """Toggle the protection of the structure of a vertex."""
    session.protect(session.space().segments.of(vertex.members[0]).id)
    address.write_link()
    st.rerun()


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
    """Open a closed module, or close an open one."""
    return opened ^ {path}
