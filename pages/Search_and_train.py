"""Start a search, and watch it train."""

from nasviz.ui import frame

frame.show("Search and train")
