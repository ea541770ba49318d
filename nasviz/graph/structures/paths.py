"""What a search leaves on each edge: single-path, multi-path or mixed-path (SparseNAS, figure 1).

One operation between two nodes is a single path; several, the same number everywhere, are a multi-path; where
the numbers differ from edge to edge the paths are mixed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from nasviz.graph.structures.switches import Switch, by_edge

__all__ = ["Paths", "count_paths", "strongest"]


@dataclass(frozen=True, slots=True)
class Paths:
    """Operations on the edges of a network with switches."""

    kind: str
    """`single-path`, `multi-path`, `mixed-path`; `no path` where nothing is left."""
    num_operations: int
    """That are left."""
    num_edges: int
    """That keep at least one operation."""
    least: int
    """Operations of such an edge."""
    most: int


def count_paths(switches: Iterable[Switch], alive: Collection[int]) -> Paths:
    """The paths that are left where these structures are alive; O(switches)."""
    numbers = [sum(s.structure in alive for s in members) for members in by_edge(switches).values()]
    kept = [number for number in numbers if number]
    if not kept:
        return Paths("no path", 0, 0, 0, 0)
    least, most = min(kept), max(kept)
    kind = "single-path" if most == 1 else "multi-path" if least == most else "mixed-path"
    return Paths(kind, sum(kept), len(kept), least, most)


def strongest(switches: Iterable[Switch], weights: Mapping[int, float]) -> frozenset[int]:
    """Of each edge the structure of the largest weight; edges none of whose weights is known have none."""
    found = set()
    for members in by_edge(switches).values():
        known = [s.structure for s in members if s.structure in weights]
        if known:
            found.add(max(known, key=lambda i: (weights[i], -i)))
    return frozenset(found)
