"""Graphs for publications: DOT with the overlay included, and bitmaps."""

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

MAX_SIDE = 8000
"""Maximum side of a bitmap in pixels, which common programs can open."""
SHARP_DPI = 144
_STYLES = {
    "erased": {"style": "filled,dashed", "penwidth": "3"},
    "dead-end": {"style": "filled,dotted", "penwidth": "3"},
    "sliced": {"style": "filled,diagonals", "penwidth": "3"},
    "bypassed": {"style": "filled,dashed"},
    "materialised": {"style": "filled,dotted"},
}
"""Graphviz styles of the states of construction, distinguishable without colour."""


def painted_dot(view: GraphView, overlay: Overlay) -> str:
    """Return the DOT source of a view with the states of construction applied."""
    lines = []
    for vertex, states in sorted(overlay.states.items()):
        if state := next((name for name in states if name in _STYLES), None):
            look = _STYLES[state] | {"color": STATES[state].light, "fontcolor": STATES[state].light}
            attributes = " ".join(f"{name}={graphviz.quoting.quote(text)}" for name, text in look.items())
            lines.append(f"\t{vertex} [{attributes}]\n")
    # In DOT, later attributes of a vertex override earlier ones, also those inside clusters.
    return view.dot.rstrip().removesuffix("}") + "".join(lines) + "}\n"


def png(dot: str, *, svg: str = "") -> bytes:
    """Return a PNG of DOT source on white, with a resolution that limits each side to 8,000 pixels.

    The PNG is decoded as a check before it is returned.

    Args:
        dot: Graphviz source.
        svg: Its layout, from which the size is read.

    Raises:
        LayoutError: No engine can write bitmaps, or it failed.
    """
    from PIL import Image

    longest = max((float(size) for size in re.findall(r'(?:width|height)="([\d.]+)pt"', svg)), default=0.0)
    dpi = min(SHARP_DPI, MAX_SIDE * 72 / longest) if longest else 72
    looks = f'\tgraph [dpi={dpi:.2f} bgcolor="#ffffff"]\n'
    content = run(find_engine("png"), dot.rstrip().removesuffix("}") + looks + "}\n")
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except (OSError, Image.DecompressionBombError) as error:
        raise LayoutError(f"the layout engine did not write a bitmap: {error}") from error
    return content


def checked_svg(view: GraphView) -> str:
    """Return the SVG of a view after checking that it contains every vertex.

    Raises:
        LayoutError: Vertices are missing.
    """
    ids = {element.get("id") for element in ElementTree.fromstring(view.svg).iter()}
    if lost := [vertex.id for vertex in view.drawing.vertices if vertex.id not in ids]:
        raise LayoutError(f"the SVG lacks {len(lost)} of {len(view.drawing)} vertices")
    return view.svg
