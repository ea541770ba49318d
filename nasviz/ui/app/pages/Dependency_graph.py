"""Vertices by what they do to channels, and every slice that goes with a structure."""

from nasviz.ui import dependencies, frame

frame.open_page("Dependency graph")
dependencies.dependency_graph()
frame.next_steps("Search and train")
