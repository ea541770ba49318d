"""A large drawing in bands, one below the other, cut where few arrows cross.

Graphviz needs more than linear time to place the vertices of a rank side by side, and runs into its limits in
a network of thousands. Networks have waists: between two cells only one or two tensors live. Cut there, each
band is placed as well as it can be, and `stitch` joins the bands into one drawing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from nasviz.draw.drawing import Drawing, DrawnCluster, DrawnEdge

__all__ = ["Band", "bands", "leaving"]

SMALL = 600
"""Vertices up to which a drawing is laid out as a whole: that takes no longer, and has no seams."""
LEAST = 80
"""Vertices of a band, at least."""
WAIST = 4
"""Tensors that may live at a cut, at most."""
_PORT = {"shape": "point", "width": "0.01", "height": "0.01", "style": "invis", "label": ""}
_IN = {"tailport": "s", "tailclip": "false"}
_OUT = {"headport": "n", "headclip": "false", "arrowhead": "none"}
"""Borders are crossed upright, so that what is joined there has no corner."""


@dataclass(frozen=True, slots=True)
class Band:
    """A part of a drawing, with what comes into it from above and leaves it below."""

    drawing: Drawing
    """Vertices, frames and the arrows between them that lie in this band alone."""
    arrivals: tuple[DrawnEdge, ...] = ()
    """Arrows that end here and begin in a band above."""
    above: tuple[str, ...] = ()
    """Vertices above with arrows to this band or to one below; the nearest last."""
    below: tuple[str, ...] = ()
    """Vertices of this band, or above, with arrows to bands below; the nearest last."""

    def to_dot(self) -> str:
        """Graphviz source; borders are crossed at ports without size, the oldest at the left."""
        dot = self.drawing.to_graph()
        for rank, word, names in (("source", "in", self.above), ("sink", "out", self.below)):
            with dot.subgraph() as ports:
                ports.attr(rank=rank)
                for name in names:
                    ports.node(f"{word}_{name}", **_PORT)
                for left, right in pairwise(names):
                    ports.edge(f"{word}_{left}", f"{word}_{right}", style="invis")
        for edge in self.arrivals:
            dot.edge(f"in_{edge.source}", edge.target, **edge.attributes, **_IN)
        for name in self.below:
            source, look = (f"in_{name}", _IN | _OUT) if name in self.above else (name, _OUT)
            dot.edge(source, f"out_{name}", id=leaving(name), **look)
        return str(dot.source)


def leaving(vertex: str) -> str:
    """Id of the arrow by which what a vertex gives leaves a band."""
    return f"leaving-{vertex}"


def bands(drawing: Drawing) -> list[Band]:
    """The bands of a drawing from top to bottom; one where it is small, or has no waist; O(V + E).

    No frame is cut in two.

    Examples:
        >>> len(bands(Drawing("empty", ())))
        1
    """
    if len(drawing) <= SMALL:
        return [Band(drawing)]
    order = _order(drawing)
    places = {vertex: place for place, vertex in enumerate(order)}
    cuts = _cuts(_widths(drawing, places))
    if not cuts:
        return [Band(drawing)]
    home = dict(zip(order, np.searchsorted(cuts, np.arange(len(order)), side="right").tolist(), strict=True))
    return _split(drawing, places, home, len(cuts) + 1)


def _order(drawing: Drawing) -> list[str]:
    """Vertices in an order in which arrows only go on; each as late as an end behind it allows.

    So what is read long after it was made, as by the cell after the next, lies with its reader.
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(vertex.id for vertex in drawing.vertices)
    graph.add_edges_from((edge.source, edge.target) for edge in drawing.edges)
    along = list(nx.topological_sort(graph))
    depth: dict[str, int] = {}
    for vertex in along:
        depth[vertex] = max((depth[before] + 1 for before in graph.pred[vertex]), default=0)
    latest: dict[str, int] = {}
    for vertex in reversed(along):
        latest[vertex] = min((latest[after] - 1 for after in graph.succ[vertex]), default=depth[vertex])
    return sorted(graph, key=latest.__getitem__)


def _widths(drawing: Drawing, places: dict[str, int]) -> NDArray[np.int64]:
    """How many tensors live just before each place; more than any waist where a frame would be cut."""
    spans = {edge.source: (places[edge.source], 0) for edge in drawing.edges}
    for edge in drawing.edges:
        first, last = spans[edge.source]
        spans[edge.source] = first, max(last, places[edge.target])
    changes = np.zeros(len(places) + 2, np.int64)
    for first, last in spans.values():
        changes[first + 1] += 1
        changes[last + 1] -= 1
    parents = {cluster.id: cluster.parent for cluster in drawing.clusters}
    frames: dict[str, list[int]] = {}
    for vertex in drawing.vertices:
        if vertex.cluster is not None:
            frames.setdefault(_outermost(vertex.cluster, parents), []).append(places[vertex.id])
    for inside in frames.values():
        changes[min(inside) + 1] += WAIST + 1
        changes[max(inside) + 1] -= WAIST + 1
    return np.cumsum(changes)[: len(places)]


def _outermost(cluster: str, parents: dict[str, str | None]) -> str:
    while (parent := parents[cluster]) is not None:
        cluster = parent
    return cluster


def _cuts(widths: NDArray[np.int64]) -> list[int]:
    """Places before which a band begins: the first that no other within reach is narrower than."""
    cuts, last = [], 0
    for place in range(LEAST, len(widths) - LEAST + 1):
        near = widths[place : place + LEAST]
        if place - last >= LEAST and widths[place] <= WAIST and widths[place] <= near.min():
            cuts.append(place)
            last = place
    return cuts


def _split(drawing: Drawing, places: dict[str, int], home: dict[str, int], number: int) -> list[Band]:
    inside: list[list[DrawnEdge]] = [[] for _ in range(number)]
    arrivals: list[list[DrawnEdge]] = [[] for _ in range(number)]
    crossing: list[set[str]] = [set() for _ in range(number)]
    for edge in drawing.edges:
        first, last = home[edge.source], home[edge.target]
        (inside if first == last else arrivals)[last].append(edge)
        for border in range(first, last):
            crossing[border].add(edge.source)
    ports = [tuple(sorted(names, key=places.__getitem__)) for names in crossing]
    vertices = [tuple(v for v in drawing.vertices if home[v.id] == i) for i in range(number)]
    frames = [_frames(drawing, {v.cluster for v in part}) for part in vertices]
    return [
        Band(
            Drawing(drawing.name, vertices[i], tuple(inside[i]), frames[i]),
            tuple(arrivals[i]),
            ports[i - 1] if i else (),
            ports[i],
        )
        for i in range(number)
    ]


def _frames(drawing: Drawing, used: set[str | None]) -> tuple[DrawnCluster, ...]:
    """The frames that these are, or lie in; frames are written from outside in."""
    for cluster in reversed(drawing.clusters):
        if cluster.id in used:
            used.add(cluster.parent)
    return tuple(cluster for cluster in drawing.clusters if cluster.id in used)
