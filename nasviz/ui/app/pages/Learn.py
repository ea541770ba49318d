"""The algorithms, step by step, on whichever network is open."""

from nasviz.ui import frame, learn

frame.open_page("Learn")
learn.lessons()
