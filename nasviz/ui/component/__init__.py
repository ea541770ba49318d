"""Components of the pages that need a browser of their own: the graph view and the live view."""

from nasviz.ui.component.graph import GraphSelection, graph_view, paint, paint_message
from nasviz.ui.component.live import live_view

__all__ = ["GraphSelection", "graph_view", "live_view", "paint", "paint_message"]
