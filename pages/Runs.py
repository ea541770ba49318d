"""Runs."""

from nasviz.ui import frame

frame.open_page("Runs")
