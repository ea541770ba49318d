"""Export the sub-network."""

from nasviz.ui import frame
from nasviz.ui.pages import export

frame.open_page("Export")
export.export()
