"""Partition of a large drawing into horizontal bands with few edges between them.

Graphviz takes more than linear time to order the vertices of a rank, and reaches its limits with thousands of
vertices. Between two cells of a network only one or two tensors are live. The drawing is cut there, each band
is laid out separately, and `stitch` joins the bands into one drawing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from nasviz.draw.drawing import Drawing, DrawnCluster, DrawnEdge

__all__ = ["Band", "bands", "exit_id"]

SMALL = 600
"""Number of vertices up to which a drawing is laid out as a whole, which takes no longer and has no seams."""
MIN_BAND = 80
"""Minimum number of vertices of a band."""
WAIST = 4
"""Maximum number of live tensors at a cut."""
_PORT = {"shape": "point", "width": "0.01", "height": "0.01", "style": "invis", "label": ""}
_IN = {"tailport": "s", "tailclip": "false"}
_OUT = {"headport": "n", "headclip": "false", "arrowhead": "none"}
"""Edges cross borders vertically, so that the joined lines have no corners."""


@dataclass(frozen=True, slots=True)
class Band:
    """Horizontal part of a drawing, with the edges that enter from above and leave below."""

    drawing: Drawing
    """Vertices, frames and edges within this band."""
    arrivals: tuple[DrawnEdge, ...] = ()
    """Edges that start in a band above and end here."""
    above: tuple[str, ...] = ()
    """Vertices above with edges to this band or bands below; the nearest last."""
    below: tuple[str, ...] = ()
    """Vertices of this band or above with edges to bands below; the nearest last."""

    def to_dot(self) -> str:
        """Return Graphviz source in which edges cross borders at invisible ports, the oldest at the left."""
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
            dot.edge(source, f"out_{name}", id=exit_id(name), **look)
        return str(dot.source)


def exit_id(vertex: str) -> str:
    """Return the id of the edge by which the output of a vertex leaves a band."""
    return f"leaving-{vertex}"


def bands(drawing: Drawing) -> list[Band]:
    """Return the bands of a drawing from top to bottom, one if it is small or has no waist. O(V + E).

    Frames are never split.

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
    """Return the vertices in topological order, each as late as its consumers allow.

    A value that is read much later, e.g. by the cell after the next, is thus placed next to its reader.
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(vertex.id for vertex in drawing.vertices)
    graph.add_edges_from((edge.source, edge.target) for edge in drawing.edges)
    order = list(nx.topological_sort(graph))
    depth: dict[str, int] = {}
    for vertex in order:
        depth[vertex] = max((depth[before] + 1 for before in graph.pred[vertex]), default=0)
    latest: dict[str, int] = {}
    for vertex in reversed(order):
        latest[vertex] = min((latest[after] - 1 for after in graph.succ[vertex]), default=depth[vertex])
    return sorted(graph, key=latest.__getitem__)


def _widths(drawing: Drawing, places: dict[str, int]) -> NDArray[np.int64]:
    """Return the number of live tensors before each position; more than `WAIST` inside a frame."""
    spans = {edge.source: (places[edge.source], 0) for edge in drawing.edges}
    for edge in drawing.edges:
        first, last = spans[edge.source]
        spans[edge.source] = first, max(last, places[edge.target])
    # Difference array: +1 where a tensor becomes live, -1 after its last reader; the cumulative sum counts
    # them.
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
    """Return the positions at which bands begin: local minima of the width, at least `MIN_BAND` apart."""
    cuts, last = [], 0
    for place in range(MIN_BAND, len(widths) - MIN_BAND + 1):
        near = widths[place : place + MIN_BAND]
        if place - last >= MIN_BAND and widths[place] <= WAIST and widths[place] <= near.min():
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
    """Return the frames in `used` and all frames around them; `clusters` lists outer frames first."""
    for cluster in reversed(drawing.clusters):
        if cluster.id in used:
            used.add(cluster.parent)
    return tuple(cluster for cluster in drawing.clusters if cluster.id in used)
