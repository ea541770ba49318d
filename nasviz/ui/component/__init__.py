"""Streamlit components in JavaScript: graph view, live view and group plane."""

from nasviz.ui.component.graph import GraphSelection, chosen_in, graph_view, paint, paint_message, toggled_in
from nasviz.ui.component.live import live_view
from nasviz.ui.component.plane import plane

__all__ = [
    "GraphSelection",
    "chosen_in",
    "graph_view",
    "live_view",
    "paint",
    "paint_message",
    "plane",
    "toggled_in",
]
