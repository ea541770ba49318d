"""Show the segments and preview their removal."""

from nasviz.ui import frame
from nasviz.ui.pages import segment_graph

frame.open_page("Segment graph")
segment_graph.segment_graph()
frame.next_steps("Dependency graph", "Search and train")
