"""Take the sub-network home."""

from nasviz.ui import exports, frame

frame.open_page("Export")
exports.export()
