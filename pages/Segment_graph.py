"""Show the segments and preview their removal."""

from nasviz.ui import frame

frame.show("Segment graph")
