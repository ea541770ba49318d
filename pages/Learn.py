"""Explain the algorithms step by step on the current network."""

from nasviz.ui import frame
from nasviz.ui.pages import learn

frame.open_page("Learn")
learn.lessons()
