"""List all runs."""

from nasviz.ui import frame

frame.show("Runs")
