"""Drawing of a graph before layout, and its DOT source.

The ids of a drawing (`n0`, `c0`, `e0`) are opaque and become the `id` of SVG elements. Names of a model are
kept separately, so an untrusted name is never used as an identifier, selector or address.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import graphviz

from nasviz.draw.labels import label, table_label
from nasviz.draw.palette import ORIGINS, ROLES

__all__ = ["Cell", "Drawing", "DrawnCluster", "DrawnEdge", "DrawnVertex", "Form"]

Form = Literal["box", "circle", "diamond", "pill", "stack", "whole"]
"""Outline of a vertex. A stack can be opened; a whole contains collapsed modules."""

LARGE = 200
"""Size above which the layout is limited, because its time grows faster than the graph."""

_FORMS: dict[Form, dict[str, str]] = {
    "box": {"shape": "box", "style": "rounded,filled", "margin": "0.2,0.07"},
    "stack": {"shape": "box", "style": "rounded,filled", "margin": "0.22,0.1", "penwidth": "1.8"},
    "whole": {"shape": "box", "style": "filled", "margin": "0.24,0.11", "penwidth": "1.8"},
    "circle": {"shape": "circle", "style": "filled", "fixedsize": "true", "width": "0.42", "height": "0.42"},
    "diamond": {
        "shape": "diamond",
        "style": "filled",
        "fixedsize": "true",
        "width": "0.62",
        "height": "0.62",
    },
    "pill": {"shape": "box", "style": "rounded,filled", "margin": "0.24,0.04", "height": "0.36"},
}
_GRAPH = {
    "rankdir": "TB",
    "bgcolor": "transparent",
    "nodesep": "0.32",
    "ranksep": "0.36",
    "pad": "0.25",
    "fontname": "Helvetica",
    "fontsize": "13",
    "fontcolor": "#4b5563",
}
_LIMITS = {"nslimit": "2", "nslimit1": "2", "mclimit": "0.5"}
_VERTEX = {"fontname": "Helvetica", "fontsize": "14", "color": "#8a94a6", "fontcolor": "#111827"}
_EDGE = {
    "fontname": "Helvetica",
    "fontsize": "11",
    "color": "#98a2b3",
    "fontcolor": "#4b5563",
    "arrowsize": "0.75",
    "penwidth": "1.3",
}
_CLUSTER = {"style": "rounded", "color": "#b6c0cc", "labeljust": "l", "margin": "14"}


_ROW_WIDTH = 200
"""Width of the bar of a tensor in points."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Part of the bar of a tensor in a vertex."""

    text: str
    share: float = 1.0
    """Share of the width of the bar."""
    colour: int | None = None
    """Number of a colour in `palette.ORIGINS`; None for the colour of the vertex."""


@dataclass(frozen=True, slots=True)
class DrawnVertex:
    """One vertex of a drawing."""

    id: str
    key: str
    """Name in the graph: id of a vertex, path of a module, or id of a segment."""
    kind: str
    """One of operator, module, segment, input, output, port."""
    role: str
    """Key in `palette.ROLES`, which determines the fill colour."""
    form: Form
    lines: tuple[str, ...]
    members: tuple[str, ...] = ()
    """Vertices of the trace graph that it represents."""
    cluster: str | None = None
    """Id of the cluster around the vertex."""
    module: str = ""
    """Path of the module that opens when the vertex is clicked; empty if none."""
    rows: tuple[tuple[Cell, ...], ...] = ()
    """Bars below the lines, one per tensor."""


@dataclass(frozen=True, slots=True)
class DrawnCluster:
    """Frame around an open module or another set of vertices."""

    id: str
    key: str
    title: str
    parent: str | None = None
    role: str = "module"
    module: str = ""
    """Path of the module that closes when the frame is clicked."""


@dataclass(frozen=True, slots=True)
class DrawnEdge:
    """One edge of a drawing, which represents `multiplicity` data edges."""

    id: str
    source: str
    target: str
    multiplicity: int = 1
    role: str = ""

    @property
    def attributes(self) -> dict[str, str]:
        """Graphviz attributes."""
        extra = {"label": f"×{self.multiplicity}"} if self.multiplicity > 1 else {}
        css = " ".join(filter(None, (self.role, "many" if self.multiplicity > 1 else "")))
        return {"id": self.id} | extra | ({"class": css} if css else {})


@dataclass(frozen=True)
class Drawing:
    """Vertices, frames and edges, in the order in which they are written.

    Examples:
        >>> box = DrawnVertex("n0", "relu", "operator", "accessory", "box", ("relu",))
        >>> "n0 [label=relu " in Drawing("one", (box,)).to_dot()
        True
    """

    name: str
    vertices: tuple[DrawnVertex, ...]
    edges: tuple[DrawnEdge, ...] = ()
    clusters: tuple[DrawnCluster, ...] = ()

    def __len__(self) -> int:
        return len(self.vertices)

    @cached_property
    def by_member(self) -> dict[str, str]:
        """Id of the drawn vertex that represents each vertex of the trace graph."""
        return {member: vertex.id for vertex in self.vertices for member in vertex.members}

    def to_dot(self) -> str:
        """Return the Graphviz source, which is deterministic."""
        return str(self.to_graph().source)

    def to_graph(self) -> graphviz.Digraph:
        """Return the Graphviz graph, which callers may extend."""
        limits = _LIMITS if max(len(self), len(self.edges) / 1.5) > LARGE else {}
        dot = graphviz.Digraph(graph_attr=_GRAPH | limits, node_attr=_VERTEX, edge_attr=_EDGE)
        self._fill(dot, None)
        for edge in self.edges:
            dot.edge(edge.source, edge.target, **edge.attributes)
        return dot

    def _fill(self, dot: graphviz.Digraph, parent: str | None) -> None:
        """Write the vertices directly inside a cluster, then its inner clusters."""
        for vertex in self._inside.get(parent, ()):
            look = _FORMS[vertex.form] | {"fillcolor": ROLES[vertex.role].light}
            if vertex.role == "port":
                look |= {"fontcolor": "#ffffff", "color": ROLES["port"].light}
            css = f"{vertex.kind} {vertex.role} {vertex.form}"
            text = label(vertex.lines)
            if vertex.rows:
                css += " table"
                rows = [
                    [(cell.text, cell.share * _ROW_WIDTH, _origin(cell)) for cell in row]
                    for row in vertex.rows
                ]
                text = table_label(vertex.lines, rows)
            dot.node(vertex.id, label=text, id=vertex.id, **{"class": css}, **look)
        for cluster in self.clusters:
            if cluster.parent == parent:
                with dot.subgraph(name=f"cluster_{cluster.id}") as inner:
                    look = {"class": cluster.role} | _CLUSTER
                    inner.attr(label=label((cluster.title,)), id=cluster.id, **look)
                    self._fill(inner, cluster.id)

    @cached_property
    def _inside(self) -> dict[str | None, list[DrawnVertex]]:
        inside: dict[str | None, list[DrawnVertex]] = {}
        for vertex in self.vertices:
            inside.setdefault(vertex.cluster, []).append(vertex)
        return inside


def _origin(cell: Cell) -> str:
    return "" if cell.colour is None else ORIGINS[cell.colour % len(ORIGINS)][0]
