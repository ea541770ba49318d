"""The full network and the sub-network, side by side."""

from nasviz.ui import comparison, frame

frame.open_page("Sub-network")
comparison.compare()
