"""Explain the algorithms step by step on the current network."""

from nasviz.ui import frame

frame.show("Learn")
