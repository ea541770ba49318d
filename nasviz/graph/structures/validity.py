"""Connectivity of a segment graph under erasing: closure, validity, K_max by a shortest path.

A set of erased segments is valid when every required sink is still reached from an input, and every
protected segment also still reaches an output. A segment whose every input is erased is orphaned, which is
the same as not being reached; so validity is read from the closure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

from nasviz.graph.segments.segment_graph import SegmentGraph
from nasviz.graph.structures.shortest_paths import Detours, essential_sinks

__all__ = ["Connectivity"]


@dataclass(frozen=True)
class Connectivity:
    """What must stay connected in a segment graph."""

    segments: SegmentGraph
    sinks: frozenset[int]
    """Segments that must stay reachable from an input."""
    protected: frozenset[int]
    """Sinks that must reach an output besides."""
    priced: frozenset[int]
    """Removal structures: what a path costs is the number of these on it."""

    def closure(self, erased: Iterable[int]) -> frozenset[int]:
        """`erased` and every segment that it orphans; visits only what lies behind them."""
        gone = set(erased)
        queue = deque(gone)
        left: dict[int, int] = {}
        while queue:
            for follower in self.segments[queue.popleft()].successors:
                s = self.segments[follower]
                left[follower] = left.get(follower, len(s.predecessors)) - 1
                if left[follower] == 0 and not s.starts and follower not in gone:
                    gone.add(follower)
                    queue.append(follower)
        return frozenset(gone)

    def is_valid(self, erased: Iterable[int]) -> bool:
        """Whether all that must stay connected does, once `erased` are gone."""
        gone = self.closure(erased)
        return gone.isdisjoint(self.sinks) and (not self.protected or self.protected <= self.alive(gone))

    def alive(self, gone: frozenset[int]) -> set[int]:
        """Segments from which an output is reached without passing `gone`."""
        alive = {s.id for s in self.segments if s.outputs and s.id not in gone}
        queue = deque(alive)
        while queue:
            for before in self.segments[queue.popleft()].predecessors:
                if before not in gone and before not in alive:
                    alive.add(before)
                    queue.append(before)
        return alive

    @cached_property
    def essential(self) -> tuple[int, ...]:
        """Sinks that are reached only if all are; one of them in most networks."""
        return essential_sinks(self.segments, self.sinks, self.priced)

    def detours(self) -> Detours | None:
        """Cheapest ways to the one sink that matters, ready for erasing; `None` where several matter."""
        if len(self.essential) != 1 or self.protected:
            return None
        return Detours(self.segments, self.essential[0], self.priced)

    def witness(self, erased: Iterable[int]) -> frozenset[int] | None:
        """Removal structures on paths that keep everything connected, few of them; `None` if there are none.

        With one sink this is a shortest path by 0-1 breadth-first search, O(V + E), and no valid set that
        contains `erased` can hold more than all structures but these. With several sinks the paths are
        united one after the other, each as cheap as what is already there allows: a set that surely works,
        seldom one structure larger than needed.
        """
        gone = frozenset(erased)
        starts = {s.id for s in self.segments if s.starts}
        ends = frozenset(s.id for s in self.segments if s.outputs)
        kept: set[int] = set()
        for sink in sorted(self.essential):
            path = self._path(sink, starts, kept, gone, forward=False)
            if path is None:
                return None
            kept.update(path)
        for s in sorted(self.protected):
            path = self._path(s, ends, set(), gone, forward=True, paid=kept)
            if path is None:
                return None
            kept.update(path)
        return frozenset(kept & self.priced)

    def _path(
        self,
        root: int,
        goals: Collection[int],
        kept: Collection[int],
        gone: frozenset[int],
        *,
        forward: bool,
        paid: Collection[int] = (),
    ) -> list[int] | None:
        """The way from `root` to a goal, or to what is kept, with the fewest structures to pay for.

        `kept` is connected already, so that the search ends there; `paid` only costs nothing.
        """
        cost: dict[int, int] = {}
        parent: dict[int, int | None] = {}
        queue: deque[int] = deque()

        def offer(segment_id: int, base: int, origin: int | None) -> None:
            is_free = segment_id not in self.priced or segment_id in kept or segment_id in paid
            price = base + (not is_free)
            if segment_id in gone or cost.get(segment_id, price + 1) <= price:
                return
            cost[segment_id], parent[segment_id] = price, origin
            (queue.append if price > base else queue.appendleft)(segment_id)

        offer(root, 0, None)
        done: set[int] = set()
        while queue:
            here = queue.popleft()
            if here in goals or here in kept:
                return _way_back(here, parent)
            if here in done:
                continue
            done.add(here)
            s = self.segments[here]
            for neighbour in s.successors if forward else s.predecessors:
                offer(neighbour, cost[here], here)
        return None


def _way_back(goal: int, parent: dict[int, int | None]) -> list[int]:
    path: list[int] = []
    step: int | None = goal
    while step is not None:
        path.append(step)
        step = parent[step]
    return path
