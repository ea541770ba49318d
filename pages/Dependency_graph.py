"""Show operators by their role for channels, and the slices that depend on a structure."""

from nasviz.ui import dependencies, frame

frame.open_page("Dependency graph")
dependencies.dependency_graph()
frame.next_steps("Search and train")
