"""Thumbnail of a graph: every vertex is a dot in the colour of its role.

The layout is that of the full drawing, rotated to run from left to right and stretched to a fixed frame,
because deep networks are up to a hundred times as deep as wide.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from xml.etree import ElementTree

from nasviz.draw.labels import count
from nasviz.draw.svg import NAMESPACE
from nasviz.draw.view import GraphView
from nasviz.errors import LayoutError
from nasviz.graph import SearchSpace

__all__ = ["stages", "thumbnail"]

WIDTH, HEIGHT, MARGIN = 320, 120, 8
TINTS = {"removable": "#1f9d76", "joint": "#d9980d", "port": "#7c8592"}
"""Colours darker than in the full drawing, so that dots are visible on light and dark themes."""
OTHER = "#8f99a6"
LINE = "#9aa4b0"

Point = tuple[float, float]


def thumbnail(view: GraphView, hidden: Collection[str] = ()) -> str:
    """Return an SVG of 320 by 120 pixels, a few kilobytes per hundred vertices.

    Args:
        view: A graph.
        hidden: Ids of vertices that are drawn as empty circles without edges.

    Raises:
        LayoutError: The view has no layout.
    """
    frame = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<svg xmlns="{NAMESPACE}" {frame}>{_dots(view, hidden)}</svg>'


def stages(
    space: SearchSpace, erased: Collection[int], operators: GraphView, segments: GraphView
) -> tuple[tuple[str, str, str], ...]:
    """Return title, sizes and thumbnail of each stage to a sub-network (ASGNAS, figure 1).

    Args:
        space: Search space of the network.
        erased: Structures that are removed in the last stage.
        operators: Trace graph of the network.
        segments: Segment graph of the network.

    Raises:
        LayoutError: A view has no layout.
    """
    plan = space.plan(erased)
    gone = {v.id for v in segments.drawing.vertices if v.members and plan.erased.keys() >= {*v.members}}
    before, after = count(plan.params_before), count(plan.params_after)
    return (
        ("Network", f"{before} parameters, {len(space.trace)} operators", thumbnail(operators)),
        ("Search space", f"{len(space.removable)} removable structures, green", thumbnail(segments)),
        ("Sub-network", f"{after} parameters, {len(erased)} structures erased", thumbnail(segments, gone)),
    )


def _dots(view: GraphView, hidden: Collection[str]) -> str:
    """Return the vertices and edges of a view as shapes; hidden vertices become circles."""
    if not view.svg:
        raise LayoutError(f"no thumbnail of {view.title}: {view.note or 'it has no layout'}")
    places = _fitted(_centres(view.svg, view.by_id))
    thick = max(1.6, min(9.0, 60 / len(places) ** 0.5))
    lines = _path(
        (places[e.source], places[e.target])
        for e in view.drawing.edges
        if e.source not in hidden and e.target not in hidden
    )
    parts = [f'<path d="{lines}" fill="none" stroke="{LINE}" stroke-width="{thick / 6:.2f}" opacity="0.7"/>']
    for role in ("", *TINTS):
        chosen = [
            v.id
            for v in view.drawing.vertices
            if (v.role if v.role in TINTS else "") == role and v.id not in hidden
        ]
        if chosen:
            # A line of length zero with round caps is a dot.
            dots = "".join(f"M{_number(places[i][0])} {_number(places[i][1])}h0" for i in chosen)
            colour = TINTS.get(role, OTHER)
            parts.append(
                f'<path d="{dots}" stroke="{colour}" stroke-width="{thick:.1f}" stroke-linecap="round"/>'
            )
    radius = max(1.0, thick / 2 - 1)
    for vertex in hidden:
        x, y = places[vertex]
        where = f'cx="{_number(x)}" cy="{_number(y)}" r="{radius:.1f}"'
        parts.append(f'<circle {where} fill="none" stroke="{LINE}" stroke-dasharray="2 2"/>')
    return "".join(parts)


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
