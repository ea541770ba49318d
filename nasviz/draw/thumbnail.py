"""Thumbnail of a graph: every vertex is a dot in the colour of its role.

The layout is that of the full drawing, rotated to run from left to right and stretched to a fixed frame,
because deep networks are up to a hundred times as deep as wide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.etree import ElementTree

from nasviz.draw.svg import NAMESPACE
from nasviz.draw.view import GraphView
from nasviz.errors import LayoutError

__all__ = ["thumbnail"]

WIDTH, HEIGHT, MARGIN = 320, 120, 8
TINTS = {"removable": "#1f9d76", "joint": "#d9980d", "port": "#7c8592"}
"""Colours darker than in the full drawing, so that dots are visible on light and dark themes."""
OTHER = "#8f99a6"
LINE = "#9aa4b0"

Point = tuple[float, float]


def thumbnail(view: GraphView) -> str:
    """Return an SVG of 320 by 120 pixels, a few kilobytes per hundred vertices.

    Raises:
        LayoutError: The view has no layout.
    """
    if not view.svg:
        raise LayoutError(f"no thumbnail of {view.title}: {view.note or 'it has no layout'}")
    places = _fitted(_centres(view.svg, view.by_id))
    thick = max(1.6, min(9.0, 60 / len(places) ** 0.5))
    lines = _path((places[e.source], places[e.target]) for e in view.drawing.edges)
    parts = [f'<path d="{lines}" fill="none" stroke="{LINE}" stroke-width="{thick / 6:.2f}" opacity="0.7"/>']
    for role in ("", *TINTS):
        chosen = [v.id for v in view.drawing.vertices if (v.role if v.role in TINTS else "") == role]
        if chosen:
            # A line of length zero with round caps is a dot.
            dots = "".join(f"M{_number(places[i][0])} {_number(places[i][1])}h0" for i in chosen)
            colour = TINTS.get(role, OTHER)
            parts.append(
                f'<path d="{dots}" stroke="{colour}" stroke-width="{thick:.1f}" stroke-linecap="round"/>'
            )
    frame = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<svg xmlns="{NAMESPACE}" {frame}>{"".join(parts)}</svg>'


def _centres(svg: str, ids: Iterable[str]) -> dict[str, Point]:
    """Return the centre of each vertex, which is that of its text."""
    wanted = set(ids)
    found: dict[str, Point] = {}
    for group in ElementTree.fromstring(svg).iter(f"{{{NAMESPACE}}}g"):
        texts = [(float(t.get("x", 0)), float(t.get("y", 0))) for t in group.iter(f"{{{NAMESPACE}}}text")]
        if group.get("id") in wanted and texts:
            found[str(group.get("id"))] = (texts[0][0], sum(y for _, y in texts) / len(texts))
    if lost := wanted - found.keys():
        raise LayoutError(f"the layout does not show {len(lost)} of {len(wanted)} vertices")
    return found


def _fitted(centres: Mapping[str, Point]) -> dict[str, Point]:
    """Return the points rotated from top-down to left-right, and stretched to the frame."""
    along = _scaled([y for _, y in centres.values()], WIDTH)
    across = _scaled([x for x, _ in centres.values()], HEIGHT)
    return dict(zip(centres, zip(along, across, strict=True), strict=True))


def _scaled(values: list[float], size: int) -> list[float]:
    low, high = min(values), max(values)
    if high == low:
        return [size / 2] * len(values)
    return [MARGIN + (value - low) / (high - low) * (size - 2 * MARGIN) for value in values]


def _path(pairs: Iterable[tuple[Point, Point]]) -> str:
    return "".join(f"M{_number(a[0])} {_number(a[1])}L{_number(b[0])} {_number(b[1])}" for a, b in pairs)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
