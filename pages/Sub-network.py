"""Compare the full network and the sub-network."""

from nasviz.ui import frame
from nasviz.ui.pages import subnetwork

frame.open_page("Sub-network")
subnetwork.compare()
