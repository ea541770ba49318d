"""Views of graphs: a layout with a record for each vertex and a legend.

A view is the complete input of the graph component and of reports, and does not depend on Streamlit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nasviz.draw.dot_dependency import dependency_drawing
from nasviz.draw.dot_partition import partition_drawing
from nasviz.draw.dot_segment import segment_drawing
from nasviz.draw.dot_trace import cell_drawing, trace_drawing
from nasviz.draw.drawing import Drawing, DrawnVertex
from nasviz.draw.layout_cache import LayoutCache
from nasviz.draw.palette import ROLES
from nasviz.draw.records import Record, Row, record
from nasviz.draw.stitch import lay_out
from nasviz.errors import LayoutError
from nasviz.graph import SearchSpace, TraceGraph

__all__ = ["GraphView", "cell_view", "dependency_view", "partition_view", "segment_view", "trace_view"]


@dataclass(frozen=True)
class GraphView:
    """Drawing with layout and records."""

    title: str
    drawing: Drawing
    records: tuple[Record, ...]
    """One record per vertex of the drawing, in its order."""
    dot: str
    svg: str
    """Layout; empty if it failed, and `note` says why."""
    note: str = ""

    @cached_property
    def by_id(self) -> dict[str, DrawnVertex]:
        """Drawn vertices by opaque id."""
        return {vertex.id: vertex for vertex in self.drawing.vertices}

    @cached_property
    def modules(self) -> dict[str, str]:
        """Path of the module by opaque id, for everything that opens or closes."""
        openable = {v.id: v.module for v in self.drawing.vertices if v.module}
        return openable | {c.id: c.module for c in self.drawing.clusters if c.module}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the drawing, which identifies the view that an overlay belongs to."""
        return hashlib.sha256(f"{self.title}\0{self.dot}".encode()).hexdigest()[:16]

    @property
    def legend(self) -> tuple[tuple[str, str], ...]:
        """Names and meanings of the roles present, in the order of the palette."""
        present = {vertex.role for vertex in self.drawing.vertices}
        return tuple((mark.name, mark.meaning) for mark in ROLES.values() if mark.name in present)

    def table(self) -> list[Row]:
        """Return the graph as a table with one row per vertex, for screen readers and spreadsheets."""
        return [r.row for r in self.records]

    def id_of(self, vertex: str) -> str | None:
        """Return the opaque id of the drawn vertex that contains a trace vertex or has this key."""
        keys = {drawn.key: drawn.id for drawn in self.drawing.vertices}
        return self.drawing.by_member.get(vertex) or keys.get(vertex)

    def payload(self) -> dict[str, Any]:
        """Return all data for the browser as JSON data; edges are pairs of indices."""
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
    """Return a view of the trace graph with the modules `expanded` open; see `trace_drawing`."""
    return _view(f"Trace graph of {trace.name}", trace, trace_drawing(trace, expanded), space, cache)


def cell_view(
    trace: TraceGraph, path: str, *, space: SearchSpace | None = None, cache: LayoutCache | None = None
) -> GraphView:
    """Return a view of the inside of one module; modules of the same structure share a layout."""
    return _view(f"{path} of {trace.name}", trace, cell_drawing(trace, path), space, cache)


def segment_view(space: SearchSpace, *, cache: LayoutCache | None = None) -> GraphView:
    """Return a view of the segment graph; the key of a vertex is the id of its segment."""
    return _view(f"Segment graph of {space.trace.name}", space.trace, segment_drawing(space), space, cache)


def dependency_view(space: SearchSpace, *, cache: LayoutCache | None = None) -> GraphView:
    """Return a view of the dependency graph, with a frame around each removal structure."""
    title = f"Dependency graph of {space.trace.name}"
    return _view(title, space.trace, dependency_drawing(space), space, cache)


def partition_view(space: SearchSpace, *, cache: LayoutCache | None = None) -> GraphView:
    """Return a view of the variable partition: G_s in frames, and its complement."""
    title = f"Variable partition of {space.trace.name}"
    return _view(title, space.trace, partition_drawing(space), space, cache)


def _view(
    title: str, trace: TraceGraph, drawing: Drawing, space: SearchSpace | None, cache: LayoutCache | None
) -> GraphView:
    dot = drawing.to_dot()
    try:
        svg, note = lay_out(drawing, dot, cache=cache), ""
    except LayoutError as error:
        # A page without a picture still has its table, so the failure is reported, not raised.
        svg, note = "", str(error)
    records = tuple(record(trace, vertex, space) for vertex in drawing.vertices)
    return GraphView(title, drawing, records, dot, svg, note)
