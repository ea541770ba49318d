"""Every operator call of the network, and the modules around them."""

from nasviz.ui import frame, operators

frame.open_page("Trace graph")
operators.trace_graph()
frame.next_steps("Segment graph", "Dependency graph")
