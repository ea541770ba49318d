"""Compare the full network and the sub-network."""

from nasviz.ui import comparison, frame

frame.open_page("Sub-network")
comparison.compare()
