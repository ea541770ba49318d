"""Export the sub-network."""

from nasviz.ui import exports, frame

frame.open_page("Export")
exports.export()
