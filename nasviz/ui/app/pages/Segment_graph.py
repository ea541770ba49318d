"""Runs of operators that only go as a whole, and what would go with them."""

from nasviz.ui import erasing, frame

frame.open_page("Segment graph")
erasing.segment_graph()
frame.next_steps("Dependency graph", "Search and train")
