"""Export the sub-network."""

from nasviz.ui import frame

frame.show("Export")
