"""List all runs."""

from nasviz.ui import frame, run_list

frame.open_page("Runs")
run_list.run_list()
