"""Show every operator call of the network."""

from nasviz.ui import frame

frame.show("Trace graph")
