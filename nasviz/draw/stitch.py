"""Layout of large drawings: bands are laid out separately and joined into one SVG.

Bands are shifted so that the most recent line continues straight across a border if there is room. Edges
across borders are joined into one path, with the ids, classes and labels of the original drawing.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

from nasviz.draw.bands import Band, bands, exit_id
from nasviz.draw.drawing import Drawing
from nasviz.draw.layout import LIMIT_S, Engine, find_engine, layout, run
from nasviz.draw.layout_cache import LayoutCache
from nasviz.draw.svg import parse, write

__all__ = ["lay_out"]

PAD = 18.0
"""Padding in points, the same as in `Drawing`."""
MIN_GAP, MAX_GAP = 6.0, 150.0
"""Points between two bands: if all lines continue straight, and if one moves far sideways."""
_VERSION = "bands 1"
_PAIR = re.compile(r"(-?[\d.]+),(-?[\d.]+)")
_SHIFT = re.compile(r"translate\((-?[\d.]+)[ ,]+(-?[\d.]+)\)")

Point = tuple[float, float]


def lay_out(
    drawing: Drawing,
    dot: str,
    *,
    limit_s: float = LIMIT_S,
    cache: LayoutCache | None = None,
    engine: Engine | None = None,
) -> str:
    """Return the layout of a drawing as sanitized SVG; large drawings are laid out in bands.

    Args:
        drawing: The drawing.
        dot: Its DOT source.
        limit_s: Time limit per band in seconds.
        cache: Cache of layouts; by default that of the user.
        engine: Layout engine; by default the best one installed.

    Raises:
        LayoutError: No engine is installed, it failed, or it exceeded the time limit.
    """
    parts = bands(drawing)
    if len(parts) == 1:
        return layout(dot, limit_s=limit_s, cache=cache, engine=engine)
    engine, cache = engine or find_engine(), cache or LayoutCache()
    key = hashlib.sha256(f"{engine.name}\0{_VERSION}\0{dot}".encode()).hexdigest()
    if svg := cache.get(key):
        return svg
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        texts = list(pool.map(lambda band: run(engine, band.to_dot(), limit_s), parts))
    svg = write(_stitched(parts, [_Sheet(parse(text.decode())) for text in texts]))
    cache.put(key, svg)
    return svg


class _Sheet:
    """Layout of one band and its offset, which initially moves the upper left corner to (0, 0)."""

    def __init__(self, svg: ElementTree.Element) -> None:
        graph = svg[0]
        found = _SHIFT.search(graph.get("transform", ""))
        self.x, self.y = (float(v) - PAD for v in found.groups()) if found else (0.0, 0.0)
        width, height = (float(size) for size in svg.get("viewBox", "0 0 0 0").split()[2:])
        self.width, self.height = width - 2 * PAD, height - 2 * PAD
        self.groups = {group.get("id", ""): group for group in graph if group.tag == "g"}

    def path(self, name: str) -> list[Point]:
        """Return the path of an edge: a point, then three points per Bézier segment."""
        return [
            (float(x) + self.x, float(y) + self.y) for x, y in _PAIR.findall(self._line(name).get("d", ""))
        ]

    def redraw(self, name: str, points: Sequence[Point]) -> None:
        """Replace the path of an edge."""
        start, *rest = (f"{x:.1f},{y:.1f}" for x, y in points)
        self._line(name).set("d", f"M{start}C{' '.join(rest)}")

    def moved(self, name: str) -> ElementTree.Element:
        """Return the group of a vertex, frame or edge, moved by the offset."""
        group = self.groups[name]
        for element in group:
            for key in ("d", "points"):
                if text := element.get(key):
                    element.set(key, _PAIR.sub(self._move, text))
            for keys, shift in ((("x", "cx"), self.x), (("y", "cy"), self.y)):
                for key in keys:
                    if text := element.get(key):
                        element.set(key, f"{float(text) + shift:.1f}")
        return group

    def _move(self, pair: re.Match[str]) -> str:
        return f"{float(pair[1]) + self.x:.1f},{float(pair[2]) + self.y:.1f}"

    def _line(self, name: str) -> ElementTree.Element:
        return next(element for element in self.groups[name] if element.tag == "path")


def _stitched(parts: Sequence[Band], sheets: Sequence[_Sheet]) -> ElementTree.Element:
    """Return one SVG of all bands: frames first, then vertices and edges from top to bottom."""
    width, height = _arrange(parts, sheets)
    frames, others = [], []
    lines: dict[str, list[Point]] = {}
    for band, sheet in zip(parts, sheets, strict=True):
        lines = {name: _extend(lines[name], sheet.path(_first(band, name))[0]) for name in band.above}
        whole = {edge.id: [*lines[edge.source], *sheet.path(edge.id)[1:]] for edge in band.arrivals}
        lines = {name: lines.get(name, [])[:-1] + sheet.path(exit_id(name)) for name in band.below}
        frames += [sheet.moved(frame.id) for frame in band.drawing.clusters]
        others += [sheet.moved(vertex.id) for vertex in band.drawing.vertices]
        others += [sheet.moved(edge.id) for edge in (*band.drawing.edges, *band.arrivals)]
        for name, points in whole.items():
            sheet.redraw(name, points)
    size = {"width": f"{width + 2 * PAD:.0f}pt", "height": f"{height + 2 * PAD:.0f}pt"}
    box = f"0 0 {width + 2 * PAD:.1f} {height + 2 * PAD:.1f}"
    svg = ElementTree.Element("svg", size | {"viewBox": box})
    moved = f"translate({PAD:g} {PAD:g})"
    ElementTree.SubElement(svg, "g", {"id": "graph0", "class": "graph", "transform": moved}).extend(
        frames + others
    )
    return svg


def _arrange(parts: Sequence[Band], sheets: Sequence[_Sheet]) -> tuple[float, float]:
    """Stack the bands in a column as wide as the widest, and return its width and height."""
    width, top = max(sheet.width for sheet in sheets), 0.0
    ends: dict[str, Point] = {}
    for band, sheet in zip(parts, sheets, strict=True):
        starts = {name: sheet.path(_first(band, name))[0][0] for name in band.above}
        # Align the band with the most recent line, as long as it stays inside the column.
        newest = band.above[-1] if band.above else None
        target = ends[newest][0] - starts[newest] if newest else (width - sheet.width) / 2
        x = min(max(target, 0.0), width - sheet.width)
        aside = max((abs(ends[name][0] - start - x) for name, start in starts.items()), default=0.0)
        top += min(MIN_GAP + aside / 4, MAX_GAP) if band.above else 0.0
        sheet.x, sheet.y = sheet.x + x, sheet.y + top
        ends = {name: sheet.path(exit_id(name))[-1] for name in band.below}
        top += sheet.height
    return width, top


def _first(band: Band, name: str) -> str:
    """Return the id of an edge that starts at the port of a vertex above."""
    return next((edge.id for edge in band.arrivals if edge.source == name), exit_id(name))


def _extend(line: Sequence[Point], end: Point) -> list[Point]:
    """Return the line extended across a border to `end`."""
    (x, y), (to_x, to_y) = line[-1], end
    middle = (y + to_y) / 2
    return [*line, (x, middle), (to_x, middle), end]
