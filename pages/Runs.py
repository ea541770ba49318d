"""List all runs."""

from nasviz.ui import frame
from nasviz.ui.pages import runs

frame.open_page("Runs")
runs.run_list()
