"""Draw the small pictures of the Model page: `make thumbnails`, or `python assets/thumbnails.py NAME ...`.

The segment graph does not depend on widths, so every network is traced at a small one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nasviz
from nasviz.catalog import find
from nasviz.draw import segment_view
from nasviz.draw.dot_segment import segment_drawing
from nasviz.draw.stitch import lay_out
from nasviz.draw.thumbnail import thumbnail

FOLDER = Path(nasviz.__file__).parent / "ui" / "assets" / "zoo"
NARROW = {"width": 0.1, "channels": 2}
SIDE = 32
PATIENCE_S = 1800.0
"""A page would not wait so long for two thousand segments; here nobody waits."""


def draw(name: str) -> None:
    """Trace a network of the zoo, and write its picture."""
    entry = find("network", name)
    settings = {key: value for key, value in NARROW.items() if key in {s.name for s in entry.settings}}
    channels, *sides = entry.input_shape or (0,)
    shape = (channels, *(min(side, SIDE) for side in sides)) if sides else None
    network = nasviz.trace(*nasviz.zoo.create(name, input_shape=shape, **settings))
    space = nasviz.search_space(network, collapse=entry.collapse)
    drawing = segment_drawing(space)
    lay_out(drawing, drawing.to_dot(), limit_s=PATIENCE_S)  # kept, so that the view below finds it
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.svg").write_text(thumbnail(segment_view(space)) + "\n")


for name in sys.argv[1:] or nasviz.zoo.names():
    draw(name)
