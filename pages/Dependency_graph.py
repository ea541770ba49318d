"""Show operators by their role for channels, and the slices that depend on a structure."""

from nasviz.ui import frame
from nasviz.ui.pages import dependency_graph

frame.open_page("Dependency graph")
dependency_graph.dependency_graph()
frame.next_steps("Search and train")
