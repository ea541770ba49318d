"""What this is, and where to begin."""

from nasviz.ui import frame, welcome

frame.open_page("Start")
welcome.greet()
