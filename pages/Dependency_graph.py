"""Show operators by their role for channels, and the slices that depend on a structure."""

from nasviz.ui import frame

frame.show("Dependency graph")
