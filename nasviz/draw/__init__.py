"""Drawings: graphs as DOT and SVG, overlays and charts, independent of Streamlit."""

from nasviz.draw.dot_dependency import dependency_dot
from nasviz.draw.dot_partition import partition_dot
from nasviz.draw.dot_segment import segment_dot
from nasviz.draw.dot_trace import trace_dot
from nasviz.draw.live_frame import LiveFrame, last_scores, live_frame, until
from nasviz.draw.overlay import Overlay, cost_overlay, plan_overlay, saliency_overlay, state_overlay
from nasviz.draw.view import GraphView, cell_view, dependency_view, partition_view, segment_view, trace_view

__all__ = [
    "GraphView",
    "LiveFrame",
    "Overlay",
    "cell_view",
    "cost_overlay",
    "dependency_dot",
    "dependency_view",
    "last_scores",
    "live_frame",
    "partition_dot",
    "partition_view",
    "plan_overlay",
    "saliency_overlay",
    "segment_dot",
    "segment_view",
    "state_overlay",
    "trace_dot",
    "trace_view",
    "until",
]
