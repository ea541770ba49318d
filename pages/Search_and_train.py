"""Search and train."""

from nasviz.ui import frame

frame.open_page("Search and train")
