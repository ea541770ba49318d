"""Choose a network and show its properties."""

from nasviz.ui import frame

frame.show("Model")
