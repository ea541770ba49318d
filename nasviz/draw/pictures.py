"""Graphs as files to put into a paper: DOT that carries what is painted, and bitmaps of it."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import graphviz

from nasviz.draw.layout import find_engine, run
from nasviz.draw.overlay import Overlay
from nasviz.draw.palette import STATES
from nasviz.draw.view import GraphView
from nasviz.errors import LayoutError

__all__ = ["checked_svg", "painted_dot", "png"]

LARGEST_SIDE = 8000
"""Pixels: what programs open without complaint."""
SHARP_DPI = 144
_STYLES = {
    "erased": {"style": "filled,dashed", "penwidth": "3"},
    "dead-end": {"style": "filled,dotted", "penwidth": "3"},
    "sliced": {"style": "filled,diagonals", "penwidth": "3"},
    "bypassed": {"style": "filled,dashed"},
    "materialised": {"style": "filled,dotted"},
}
"""States of construction, as Graphviz draws them: never by colour alone."""


def painted_dot(view: GraphView, overlay: Overlay) -> str:
    """The DOT of a view, with what construction does to each vertex painted in."""
    lines = []
    for vertex, states in sorted(overlay.states.items()):
        if state := next((name for name in states if name in _STYLES), None):
            look = _STYLES[state] | {"color": STATES[state].light, "fontcolor": STATES[state].light}
            attributes = " ".join(f"{name}={graphviz.quoting.quote(text)}" for name, text in look.items())
            lines.append(f"\t{vertex} [{attributes}]\n")
    # What is said of a vertex later counts, wherever in its clusters it stands.
    return view.dot.rstrip().removesuffix("}") + "".join(lines) + "}\n"


def png(dot: str, *, svg: str = "") -> bytes:
    """A bitmap of DOT text on white: sharp, but no side longer than 8,000 pixels.

    It is decoded again before it is returned.

    Args:
        dot: Graphviz source.
        svg: The same laid out, which tells how large it is.

    Raises:
        LayoutError: There is no engine that writes bitmaps, or it failed.
    """
    from PIL import Image

    longest = max((float(size) for size in re.findall(r'(?:width|height)="([\d.]+)pt"', svg)), default=0.0)
    dpi = min(SHARP_DPI, LARGEST_SIDE * 72 / longest) if longest else 72
    looks = f'\tgraph [dpi={dpi:.2f} bgcolor="#ffffff"]\n'
    content = run(find_engine("png"), dot.rstrip().removesuffix("}") + looks + "}\n")
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except (OSError, Image.DecompressionBombError) as error:
        raise LayoutError(f"the layout engine did not write a bitmap: {error}") from error
    return content


def checked_svg(view: GraphView) -> str:
    """The SVG of a view, once it was parsed and holds every vertex.

    Raises:
        LayoutError: It does not.
    """
    ids = {element.get("id") for element in ElementTree.fromstring(view.svg).iter()}
    if lost := [vertex.id for vertex in view.drawing.vertices if vertex.id not in ids]:
        raise LayoutError(f"the SVG lacks {len(lost)} of {len(view.drawing)} vertices")
    return view.svg
