"""The graph view on a page: what it shows goes in, what a person chose comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from nasviz.draw import GraphView, Overlay
from nasviz.draw.about import About
from nasviz.draw.drawing import DrawnVertex
from nasviz.draw.palette import STATES
from nasviz.draw.viewer import script, style_sheet

__all__ = ["GraphSelection", "chosen_in", "graph_view", "paint", "paint_message", "toggled_in"]

_ON_TRACES = ("ancestor", "descendant")
_PLAIN_LIMIT = 300
"""Vertices up to which the browser is asked to lay a graph out itself, where the server cannot."""

_graph = st.components.v2.component(
    "nasviz_graph",
    html='<div class="nasviz-graph"></div>\n',
    css=style_sheet("nasviz-graph", "graph.css"),
    js=script("graph.js"),
)
_overlay = st.components.v2.component("nasviz_overlay", js=script("overlay.js"))


@dataclass(frozen=True, slots=True)
class GraphSelection:
    """What a person chose in a graph view."""

    vertex: DrawnVertex | None = None
    protected: DrawnVertex | None = None
    """Whose switch for protection was turned; set for one run of the script only."""

    @property
    def selected(self) -> str | None:
        """Key of the chosen vertex: an operator's id, a module's path, the number of a segment."""
        return self.vertex.key if self.vertex else None


def graph_view(
    view: GraphView,
    *,
    key: str,
    overlay: Overlay | None = None,
    selected: str | None = None,
    about: Sequence[About] = (),
    height: int = 640,
    sync: str = "",
) -> GraphSelection:
    """Show a graph. Only `overlay`, `selected` and `about` may change without sending the graph again.

    Args:
        view: What to show.
        key: Of the widget; also names the graph for `paint`.
        overlay: What is painted over it.
        selected: Vertex of the trace graph, or key of a drawn vertex, that a table beside the graph has
            chosen; acted on when it changes.
        about: Told of vertices that may be chosen, see `chosen_in`.
        height: Of the drawing in pixels.
        sync: Graphs with the same word here pan and zoom in step.
    """
    if not view.svg:
        return _without_layout(view)
    with st.container(gap=None):
        paint(view, key=key, overlay=overlay, selected=selected, about=about)
        data = view.payload() | {
            "graph": key,
            "view": view.fingerprint,
            "height": height,
            "sync": sync,
            "states": [(m.name, m.meaning) for m in STATES.values() if m.name not in _ON_TRACES],
        }
        answer = _graph(
            key=key,
            data=data,
            on_selected_change=_nothing,
            on_toggled_change=_nothing,
            on_protected_change=_nothing,
        )
    protected = _once(key, "protected", answer.protected)
    return GraphSelection(_named(view, answer.selected), view.by_id.get(protected) if protected else None)


def chosen_in(view: GraphView, key: str) -> DrawnVertex | None:
    """The vertex that is chosen in the graph view `key`, before it is shown again."""
    state = st.session_state.get(key)
    return _named(view, state.get("selected")) if isinstance(state, Mapping) else None


def toggled_in(view: GraphView, key: str) -> str | None:
    """Path of the module that was opened or closed in the graph view `key`, before it is shown again; once.

    Args:
        view: What was shown when it happened.
        key: Of the widget.
    """
    state = st.session_state.get(key)
    name = _once(key, "toggled", state.get("toggled")) if isinstance(state, Mapping) else None
    return view.modules.get(name) if name else None


def paint(
    view: GraphView,
    *,
    key: str,
    overlay: Overlay | None = None,
    selected: str | None = None,
    about: Sequence[About] = (),
) -> None:
    """Recolour the graph view `key`, wherever on the page it is; sends the overlay and nothing else."""
    _overlay(key=f"{key}-overlay", data=paint_message(view, key, overlay, selected, about))


def paint_message(
    view: GraphView,
    key: str,
    overlay: Overlay | None,
    selected: str | None = None,
    about: Sequence[About] = (),
) -> dict[str, object]:
    """What a graph view is told when it is recoloured."""
    chosen = view.id_of(selected) if selected is not None else None
    return {
        "graph": key,
        "view": view.fingerprint,
        "overlay": overlay.packed([v.id for v in view.drawing.vertices]) if overlay else None,
        "selected": chosen,
        "about": [a.payload() for a in about],
    }


def _without_layout(view: GraphView) -> GraphSelection:
    """Without a layout engine: the browser draws small graphs, and the table stands for large ones."""
    st.warning(f"The graph is shown in a simpler way. {view.note}")
    if len(view.drawing) <= _PLAIN_LIMIT:
        st.graphviz_chart(view.dot)
    st.dataframe(view.table(), hide_index=True)
    return GraphSelection()


def _named(view: GraphView, name: object) -> DrawnVertex | None:
    """The vertex that the browser calls by kind and key."""
    names = {f"{v.kind} {v.key}": v for v in view.drawing.vertices}
    return names.get(str(name))


def _once(key: str, kind: str, message: object) -> str | None:
    """Opaque id of what was opened, closed or protected, told once.

    A script that is interrupted is given its triggers again: without a look at `once` a module would open and
    close at once.
    """
    if not isinstance(message, dict):
        return None
    memory = f"{key}-{kind}-last"
    if st.session_state.get(memory) == message.get("once"):
        return None
    st.session_state[memory] = message.get("once")
    return str(message.get("id"))


def _nothing() -> None:
    """A state exists once it has a callback; what it says is read from the answer."""
