"""Sub-network."""

from nasviz.ui import frame

frame.open_page("Sub-network")
