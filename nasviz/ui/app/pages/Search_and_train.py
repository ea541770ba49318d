"""Choose K and an optimizer, train, and watch the redundant structures fade."""

from nasviz.ui import frame, training

frame.open_page("Search and train")
training.search_and_train()
