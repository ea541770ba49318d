"""Show every operator call of the network."""

from nasviz.ui import frame
from nasviz.ui.pages import trace_graph

frame.open_page("Trace graph")
trace_graph.trace_graph()
frame.next_steps("Segment graph", "Dependency graph")
