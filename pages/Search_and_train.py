"""Start a search, and watch it train."""

from nasviz.ui import frame
from nasviz.ui.pages import search_and_train

frame.open_page("Search and train")
search_and_train.search_and_train()
