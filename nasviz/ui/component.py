"""Streamlit components in JavaScript: graph view, live view and group plane."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from nasviz.draw import GraphView, Overlay
from nasviz.draw.about import About
from nasviz.draw.drawing import DrawnVertex
from nasviz.draw.live_frame import LiveFrame
from nasviz.draw.palette import STATES
from nasviz.draw.viewer import script, style_sheet

__all__ = [
    "FILL",
    "GraphSelection",
    "chosen_in",
    "graph_view",
    "live_view",
    "paint",
    "paint_message",
    "plane",
    "toggled_in",
]

FILL = 0
"""Height of a graph that reaches down to the lower edge of the window."""
_ON_TRACES = ("ancestor", "descendant")
_PLAIN_LIMIT = 300
"""Maximum number of vertices for layout in the browser if the server has no layout engine."""

_graph = st.components.v2.component(
    "nasviz_graph",
    html='<div class="nasviz-graph"></div>\n',
    css=style_sheet("nasviz-graph", "graph.css"),
    js=script("graph.js"),
)
_overlay = st.components.v2.component("nasviz_overlay", js=script("overlay.js"))


@dataclass(frozen=True, slots=True)
class GraphSelection:
    """Selection of the user in a graph view."""

    vertex: DrawnVertex | None = None
    protected: DrawnVertex | None = None
    """Vertex whose protection was toggled; set for one script run only."""
    erased: DrawnVertex | None = None
    """Vertex that was added to the preview or removed from it; set for one script run only."""

    @property
    def selected(self) -> str | None:
        """Key of the selected vertex: id of an operator, path of a module or id of a segment."""
        return self.vertex.key if self.vertex else None


def graph_view(
    view: GraphView,
    *,
    key: str,
    overlay: Overlay | None = None,
    selected: str | None = None,
    about: Sequence[About] = (),
    height: int = FILL,
    sync: str = "",
) -> GraphSelection:
    """Show a graph. Changes of `overlay`, `selected` and `about` do not send the graph again.

    Args:
        view: Graph to show.
        key: Key of the widget; also names the graph for `paint`.
        overlay: Colours and marks of the vertices.
        selected: Vertex of the trace graph, or key of a drawn vertex, to select when this value changes.
        about: Facts about vertices that may be selected, see `chosen_in`.
        height: Height of the drawing in pixels, or `FILL`.
        sync: Name of a set of graphs that pan and zoom together.
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
            on_erased_change=_nothing,
        )
    protected, erased = _once(key, "protected", answer.protected), _once(key, "erased", answer.erased)
    return GraphSelection(
        _named(view, answer.selected), view.by_id.get(protected or ""), view.by_id.get(erased or "")
    )


def chosen_in(view: GraphView, key: str) -> DrawnVertex | None:
    """Return the selected vertex of the graph view `key` before it is shown again."""
    state = st.session_state.get(key)
    return _named(view, state.get("selected")) if isinstance(state, Mapping) else None


def toggled_in(view: GraphView, key: str) -> str | None:
    """Return the path of the module toggled in the graph view `key` before it is shown again; only once.

    Args:
        view: Graph that was shown at that time.
        key: Key of the widget.
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
    """Recolour the graph view `key` anywhere on the page; sends the overlay only."""
    _overlay(key=f"{key}-overlay", data=paint_message(view, key, overlay, selected, about))


def paint_message(
    view: GraphView,
    key: str,
    overlay: Overlay | None,
    selected: str | None = None,
    about: Sequence[About] = (),
) -> dict[str, object]:
    """Return the message that recolours a graph view."""
    chosen = view.id_of(selected) if selected is not None else None
    return {
        "graph": key,
        "view": view.fingerprint,
        "overlay": overlay.packed([v.id for v in view.drawing.vertices]) if overlay else None,
        "selected": chosen,
        "about": [a.payload() for a in about],
    }


def _without_layout(view: GraphView) -> GraphSelection:
    """Show a graph without a server layout: the browser draws small graphs, large ones are a table only."""
    st.warning(f"Simplified view of the graph. {view.note}")
    if len(view.drawing) <= _PLAIN_LIMIT:
        st.graphviz_chart(view.dot)
    st.dataframe(view.table(), hide_index=True)
    return GraphSelection()


def _named(view: GraphView, name: object) -> DrawnVertex | None:
    """Return the vertex that the browser names by kind and key."""
    names = {f"{v.kind} {v.key}": v for v in view.drawing.vertices}
    return names.get(str(name))


def _once(key: str, kind: str, message: object) -> str | None:
    """Return the id of a trigger (opened, closed, erased or protected vertex), only once."""
    # Streamlit delivers triggers again to the rerun of an interrupted script. Without the check of `once`, a
    # module would open and close immediately.
    if not isinstance(message, dict):
        return None
    memory = f"{key}-{kind}-last"
    if st.session_state.get(memory) == message.get("once"):
        return None
    st.session_state[memory] = message.get("once")
    return str(message.get("id"))


def _nothing() -> None:
    """Do nothing: a component state needs a callback, but its value is read from the result."""


_live = st.components.v2.component(
    "nasviz_live",
    html='<div class="nasviz-live"></div>\n',
    css=style_sheet("nasviz-live", "live.css"),
    js=script("live.js"),
)
_feed = st.components.v2.component("nasviz_feed", js=script("feed.js"))


def live_view(frame: LiveFrame, *, key: str, paint: Iterable[dict[str, Any]] = ()) -> int | None:
    """Show one step of a run; to be called repeatedly from a fragment with the same key.

    Args:
        frame: Content to show.
        key: Key of the widget.
        paint: Messages of `paint_message` for graph views on the page, which are recoloured at the same time
            without being sent or laid out again.

    Returns:
        Id of the structure whose row was clicked last.
    """
    # The row names are large and constant. As a separate message, Streamlit sends them once and caches them.
    answer = _live(key=key, data={"live": key, "rows": frame.rows()}, on_structure_change=_nothing)
    _feed(key=f"{key}-feed", data={"live": key, "frame": frame.payload(), "paint": list(paint)})
    chosen = answer.structure
    return chosen if isinstance(chosen, int) else None


_plane = st.components.v2.component(
    "nasviz_plane",
    html='<div class="nasviz-plane"></div>\n',
    css=style_sheet("nasviz-plane", "plane.css"),
    js=script("plane.js"),
)


def plane(
    x: Sequence[float],
    gradient: Sequence[float],
    trial: Sequence[float],
    projected: Sequence[float],
    epsilon: float,
    *,
    key: str,
    on_move: Callable[[list[float], list[float]], None],
) -> None:
    """Show a group, its trial step and its half-space.

    Args:
        x: Weights of the group; draggable.
        gradient: Gradient at `x`; draggable.
        trial: Trial point.
        projected: Trial point after the projection.
        epsilon: Offset of the half-space.
        key: Key of the widget.
        on_move: Callback with point and gradient after one of them was dragged, before the script reruns.
    """

    def moved() -> None:
        message = st.session_state[key]["moved"]
        on_move([float(v) for v in message["x"]], [float(v) for v in message["gradient"]])

    text = (
        f"Group at ({x[0]:g}, {x[1]:g}), trial point at ({trial[0]:.3g}, {trial[1]:.3g}), after the"
        f" projection at ({projected[0]:.3g}, {projected[1]:.3g}). The sliders set the same values."
    )
    data = {"x": x, "gradient": gradient, "trial": trial, "projected": projected}
    _plane(key=key, data=data | {"epsilon": epsilon, "said": text}, on_moved_change=moved)
