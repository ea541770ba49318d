"""Show every operator call of the network."""

from nasviz.ui import frame, operators

frame.open_page("Trace graph")
operators.trace_graph()
frame.next_steps("Segment graph", "Dependency graph")
