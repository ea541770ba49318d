"""Show the segments and preview their removal."""

from nasviz.ui import erasing, frame

frame.open_page("Segment graph")
erasing.segment_graph()
frame.next_steps("Dependency graph", "Search and train")
