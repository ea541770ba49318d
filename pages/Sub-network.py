"""Compare the full network and the sub-network."""

from nasviz.ui import frame

frame.show("Sub-network")
