"""Start a search, and watch it train."""

from nasviz.ui import frame, training

frame.open_page("Search and train")
training.search_and_train()
