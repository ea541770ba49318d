"""What it costs to go round a segment: cheapest ways through a segment graph as structures are erased.

Put the segments in topological order. A way from an input to the sink that avoids one of them crosses its
place by an edge; up to the tail of that edge, and from its head on, it may be as cheap as any. So the
cheapest detour is found among the edges that cross one place, without a search through the graph.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from heapq import heappop, heappush
from math import inf

import networkx as nx

from nasviz.graph.segments.segment_graph import SegmentGraph

__all__ = ["Detours", "essential_sinks", "places"]

_SOURCE = -1
"""Stands before every segment that reads an input."""


def places(segments: SegmentGraph) -> dict[int, int]:
    """A topological order of the segments: by the vertices that others read."""
    order = {vertex.id: place for place, vertex in enumerate(segments.trace)}
    return {s.id: order[s.vertices[-1]] for s in segments}


def essential_sinks(
    segments: SegmentGraph, sinks: Collection[int], priced: Collection[int]
) -> tuple[int, ...]:
    """The sinks that must be watched, last first: as long as they are reached, all `sinks` are.

    What every way to a sink passes is reached with it, and whatever follows from there without any segment
    that may be erased. The gates of a chain of blocks are reached with its output.
    """
    graph = nx.DiGraph((_SOURCE, s.id) for s in segments if s.starts)
    graph.add_edges_from((s.id, follower) for s in segments for follower in s.successors)
    before = nx.immediate_dominators(graph, _SOURCE)
    place = places(segments)
    reached: set[int] = set()
    kept = []
    for sink in sorted(sinks, key=place.__getitem__, reverse=True):
        if sink in reached:
            continue
        kept.append(sink)
        passed, step = [], sink
        while step not in (_SOURCE, None) and step not in reached:
            passed.append(step)
            step = before.get(step, _SOURCE)
        while passed:
            here = passed.pop()
            if here not in reached:
                reached.add(here)
                passed += [after for after in segments[here].successors if after not in priced]
    return tuple(kept)


class Detours:
    """Cheapest ways from the inputs to one sink; a way costs the number of priced segments on it.

    Args:
        segments: The graph.
        sink: Where every way ends.
        priced: Segments that may be erased.
    """

    def __init__(self, segments: SegmentGraph, sink: int, priced: Collection[int]) -> None:
        self.segments = segments
        self.sink = sink
        self.place = places(segments)
        self.price: dict[int, float] = {s.id: float(s.id in priced) for s in segments}
        self.before: dict[int, float] = {_SOURCE: 0.0}
        """Cost of the cheapest way from an input to a segment, its own price included."""
        self.after: dict[int, float] = {}
        """Cost of the cheapest way from a segment to the sink, its own price included."""
        order = sorted(self.place, key=self.place.__getitem__)
        for segment in order:
            self.before[segment] = self._from_inputs(segment)
        for segment in reversed(order):
            self.after[segment] = self._to_sink(segment)
        self.crossing = self._crossing(order, priced)

    @property
    def cost(self) -> float:
        """Cost of the cheapest way; infinite where there is none."""
        return self.before[self.sink]

    def around(self, segment: int) -> float:
        """Cost of the cheapest way that does not pass a priced segment; infinite where there is none."""
        if self.place[segment] > self.place[self.sink]:
            return self.cost
        before, after = self.before, self.after
        return min((before[tail] + after[head] for tail, head in self.crossing[segment]), default=inf)

    def erase(self, segment: int) -> None:
        """Take a segment away; visits only those whose ways become dearer."""
        self.price[segment] = inf
        self._spread(segment, self.before, forward=True)
        self._spread(segment, self.after, forward=False)

    def _spread(self, segment: int, costs: dict[int, float], *, forward: bool) -> None:
        sign = 1 if forward else -1
        queue = [(sign * self.place[segment], segment)]
        queued = {segment}
        while queue:
            _, here = heappop(queue)
            queued.discard(here)
            cost = self._from_inputs(here) if forward else self._to_sink(here)
            if cost == costs[here]:
                continue
            costs[here] = cost
            s = self.segments[here]
            for neighbour in s.successors if forward else s.predecessors:
                if neighbour not in queued:
                    queued.add(neighbour)
                    heappush(queue, (sign * self.place[neighbour], neighbour))

    def _from_inputs(self, segment: int) -> float:
        s = self.segments[segment]
        least = min((self.before[p] for p in s.predecessors), default=inf)
        return self.price[segment] + (0.0 if s.starts else least)

    def _to_sink(self, segment: int) -> float:
        if segment == self.sink:
            return self.price[segment]
        return self.price[segment] + min(
            (self.after[f] for f in self.segments[segment].successors), default=inf
        )

    def _crossing(
        self, order: Sequence[int], priced: Collection[int]
    ) -> Mapping[int, tuple[tuple[int, int], ...]]:
        """For each priced segment the edges that start before its place and end behind it."""
        running: dict[tuple[int, int], None] = {(_SOURCE, s.id): None for s in self.segments if s.starts}
        found = {}
        for segment in order:
            s = self.segments[segment]
            for edge in [(_SOURCE, segment), *((p, segment) for p in s.predecessors)]:
                running.pop(edge, None)
            if segment in priced:
                found[segment] = tuple(running)
            running.update({(segment, follower): None for follower in s.successors})
        return found
