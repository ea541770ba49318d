"""Branches: all vertices that only one switch needs, back to the nodes of a cell."""

from __future__ import annotations

from collections import deque

from nasviz.graph.space import SearchSpace

__all__ = ["branches"]


def branches(space: SearchSpace) -> dict[str, tuple[str, ...]]:
    """For each switch, by its vertex: the vertices of its operation, in the order in which they run.

    Empty on an identity edge. An operation may span several segments, such as a strided identity of DARTS.
    """
    trace = space.trace
    ends = {node for switch in space.switches for node in switch.nodes}
    order = {vertex.id: place for place, vertex in enumerate(trace)}
    found: dict[str, tuple[str, ...]] = {}
    for switch in space.switches:
        branch = {switch.vertex}
        waiting = deque([switch.source])
        while waiting:
            vertex = waiting.popleft()
            is_wanted = vertex in trace and vertex not in branch and vertex not in ends
            if is_wanted and branch.issuperset(trace.consumers[vertex]):
                branch.add(vertex)
                waiting.extend(trace[vertex].inputs)
        found[switch.vertex] = tuple(sorted(branch - {switch.vertex}, key=order.__getitem__))
    return found
