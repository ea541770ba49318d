"""A graph that is ready to be looked at: laid out, with a record for each vertex and a legend.

This is all that the graph component is given, and all that a report or a test needs; nothing of it knows
Streamlit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nasviz.draw.dot_dependency import dependency_drawing
from nasviz.draw.dot_segment import segment_drawing
from nasviz.draw.dot_trace import cell_drawing, trace_drawing
from nasviz.draw.drawing import Drawing, DrawnVertex
from nasviz.draw.layout_cache import LayoutCache
from nasviz.draw.palette import ROLES
from nasviz.draw.records import Record, Row, record
from nasviz.draw.stitch import lay_out
from nasviz.errors import LayoutError
from nasviz.graph import SearchSpace, TraceGraph

__all__ = ["GraphView", "cell_view", "dependency_view", "segment_view", "trace_view"]


@dataclass(frozen=True)
class GraphView:
    """One drawing with everything that is told of it."""

    title: str
    drawing: Drawing
    records: tuple[Record, ...]
    """One for each vertex of the drawing, in its order."""
    dot: str
    svg: str
    """Empty where no layout was to be had; `note` then says why."""
    note: str = ""

    @cached_property
    def by_id(self) -> dict[str, DrawnVertex]:
        """Drawn vertices by opaque id."""
        return {vertex.id: vertex for vertex in self.drawing.vertices}

    @cached_property
    def modules(self) -> dict[str, str]:
        """For each opaque id that opens or closes: the path of its module."""
        openable = {v.id: v.module for v in self.drawing.vertices if v.module}
        return openable | {c.id: c.module for c in self.drawing.clusters if c.module}

    @cached_property
    def fingerprint(self) -> str:
        """Opaque ids mean something in one drawing only: an overlay says by this which one it is for."""
        return hashlib.sha256(f"{self.title}\0{self.dot}".encode()).hexdigest()[:16]

    @property
    def legend(self) -> tuple[tuple[str, str], ...]:
        """Role and meaning of what is on the drawing, in the order of the palette."""
        present = {vertex.role for vertex in self.drawing.vertices}
        return tuple((mark.name, mark.meaning) for mark in ROLES.values() if mark.name in present)

    def table(self) -> list[Row]:
        """The same graph as a table, a row for each vertex: what a screen reader or a spreadsheet wants."""
        return [r.row for r in self.records]

    def id_of(self, vertex: str) -> str | None:
        """The opaque id of what stands for a vertex of the trace graph, or of what has this key."""
        keys = {drawn.key: drawn.id for drawn in self.drawing.vertices}
        return self.drawing.by_member.get(vertex) or keys.get(vertex)

    def payload(self) -> dict[str, Any]:
        """Everything for the browser, as data that JSON can hold; arrows are pairs of positions."""
        return self._payload

    @cached_property
    def _payload(self) -> dict[str, Any]:
        place = {vertex.id: index for index, vertex in enumerate(self.drawing.vertices)}
        return {
            "title": self.title,
            "svg": self.svg,
            "dot": self.dot,
            "vertices": [
                {"id": v.id, "key": v.key, "kind": v.kind, "in": v.cluster, "opens": bool(v.module)}
                | {"title": r.title, "fields": r.fields, "search": r.search}
                for v, r in zip(self.drawing.vertices, self.records, strict=True)
            ],
            "clusters": [
                {"id": c.id, "key": c.key, "in": c.parent, "title": c.title, "closes": bool(c.module)}
                for c in self.drawing.clusters
            ],
            "edges": [(place[e.source], place[e.target]) for e in self.drawing.edges],
            "legend": self.legend,
        }


def trace_view(
    trace: TraceGraph,
    expanded: Collection[str] | None = None,
    *,
    space: SearchSpace | None = None,
    cache: LayoutCache | None = None,
) -> GraphView:
    """The trace graph with the modules `expanded` open; `None` opens as many levels as stay readable."""
    return _view(f"Trace graph of {trace.name}", trace, trace_drawing(trace, expanded), space, cache)


def cell_view(
    trace: TraceGraph, path: str, *, space: SearchSpace | None = None, cache: LayoutCache | None = None
) -> GraphView:
    """The inside of one module; modules of the same build share a layout."""
    return _view(f"{path} of {trace.name}", trace, cell_drawing(trace, path), space, cache)


def segment_view(space: SearchSpace, *, cache: LayoutCache | None = None) -> GraphView:
    """The segment graph; the key of a vertex is the number of its segment."""
    return _view(f"Segment graph of {space.trace.name}", space.trace, segment_drawing(space), space, cache)


def dependency_view(space: SearchSpace, *, cache: LayoutCache | None = None) -> GraphView:
    """The dependency graph; a frame stands around each removal structure."""
    title = f"Dependency graph of {space.trace.name}"
    return _view(title, space.trace, dependency_drawing(space), space, cache)


def _view(
    title: str, trace: TraceGraph, drawing: Drawing, space: SearchSpace | None, cache: LayoutCache | None
) -> GraphView:
    dot = drawing.to_dot()
    try:
        svg, note = lay_out(drawing, dot, cache=cache), ""
    except LayoutError as error:
        # A page without a picture still has its table, so this is told and not raised.
        svg, note = "", str(error)
    records = tuple(record(trace, vertex, space) for vertex in drawing.vertices)
    return GraphView(title, drawing, records, dot, svg, note)
