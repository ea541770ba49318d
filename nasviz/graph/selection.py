"""Which structures may go together: connectivity, frozen parameters, and hierarchical selection.

A set of erased segments is valid when every required sink is still reached from an input, and every
protected segment also still reaches an output. A segment whose every input is erased is orphaned, and so is a
product of which one factor is erased; that is the same as not being reached, so validity is read from the
closure.

Selection takes candidates by ascending saliency and skips one that would break the network (ASGNAS, Algorithm
3, lines 6-10). The documents' pass may end below K although K structures could go; with lookahead a candidate
is also skipped when nothing that keeps the network connected would leave room for K. Where that rule never
binds, the two agree step by step.

`Detours` makes lookahead cheap. Put the segments in topological order. A path from an input to the sink that
avoids a segment crosses its place by an edge; up to the tail of that edge, and from its head on, it may be as
cheap as any. So the cheapest detour is found among the edges that cross one place, without a search.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from math import inf, isinf
from typing import Any

from nasviz.graph.construction import entailed_rows
from nasviz.graph.operators.rules import Role
from nasviz.graph.segments import SOURCE, SegmentGraph

__all__ = [
    "FROZEN",
    "PROTECTED",
    "Connectivity",
    "Detours",
    "SelectionStep",
    "essential_sinks",
    "frozen_names",
    "frozen_reason",
    "frozen_rows",
    "frozen_segments",
    "is_frozen_reason",
    "places",
    "steps",
]


def places(segments: SegmentGraph) -> dict[int, int]:
    """A topological order of the segments: by the vertices that others read."""
    order = {vertex.id: place for place, vertex in enumerate(segments.trace)}
    return {s.id: order[s.vertices[-1]] for s in segments}


def essential_sinks(
    segments: SegmentGraph, sinks: Collection[int], breakable: Collection[int]
) -> tuple[int, ...]:
    """The sinks that must be watched, last first: as long as they are reached, all `sinks` are.

    What every way to a sink passes is reached with it, and whatever follows from there without any segment
    that may break the way (`breakable`): one that may be erased, or a product. The gates of a chain of blocks
    are reached with its output.
    """
    before = segments.dominators
    place = places(segments)
    reached: set[int] = set()
    kept = []
    for sink in sorted(sinks, key=place.__getitem__, reverse=True):
        if sink in reached:
            continue
        kept.append(sink)
        passed, step = [], sink
        while step != SOURCE and step not in reached:
            passed.append(step)
            step = before.get(step, SOURCE)
        while passed:
            here = passed.pop()
            if here not in reached:
                reached.add(here)
                passed += [after for after in segments[here].successors if after not in breakable]
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
        self.before: dict[int, float] = {SOURCE: 0.0}
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
        """Return for each priced segment the edges that start before its place and end behind it."""
        running: dict[tuple[int, int], None] = {(SOURCE, s.id): None for s in self.segments if s.starts}
        found = {}
        for segment in order:
            s = self.segments[segment]
            for edge in [(SOURCE, segment), *((p, segment) for p in s.predecessors)]:
                running.pop(edge, None)
            if segment in priced:
                found[segment] = tuple(running)
            running.update({(segment, follower): None for follower in s.successors})
        return found


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
        """Return `erased`, every product with it, and every segment that loses all its inputs.

        Visits only what lies behind them.
        """
        gone = set(erased)
        queue = deque(gone)
        left: dict[int, int] = {}
        while queue:
            here = queue.popleft()
            for follower in self.segments[here].successors:
                s = self.segments[follower]
                left[follower] = left.get(follower, len(s.predecessors)) - 1
                is_lost = here in self.segments.annihilators.get(follower, ()) or (
                    left[follower] == 0 and not s.starts
                )
                if is_lost and follower not in gone:
                    gone.add(follower)
                    queue.append(follower)
        return frozenset(gone)

    def is_valid(self, erased: Iterable[int]) -> bool:
        """Return whether all that must stay connected does, once `erased` are gone."""
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
    def required(self) -> frozenset[int]:
        """The sinks, and what is reached whenever they are: their only inputs, the factors of products."""
        found = set(self.sinks)
        queue = deque(found)
        while queue:
            s = self.segments[queue.popleft()]
            needed = s.predecessors if len(s.predecessors) == 1 and not s.starts else ()
            for before in self.segments.annihilators.get(s.id, needed):
                if before not in found:
                    found.add(before)
                    queue.append(before)
        return frozenset(found)

    @cached_property
    def gated(self) -> frozenset[int]:
        """Products of which one factor can be lost without the others."""
        products = self.segments.annihilators.keys() - self.required
        if not products:
            return frozenset()
        before = self.segments.dominators
        return frozenset(p for p in products if p in before and self._is_priced_between(before[p], p))

    def _is_priced_between(self, start: int, end: int) -> bool:
        """Return whether a structure lies on the ways to `end` from a segment that all of them pass."""
        seen, queue = {end}, [end]
        while queue:
            for before in self.segments[queue.pop()].predecessors:
                if before not in seen and before != start:
                    if before in self.priced:
                        return True
                    seen.add(before)
                    queue.append(before)
        return False

    @cached_property
    def essential(self) -> tuple[int, ...]:
        """Sinks that are reached only if all are; one of them in most networks."""
        return essential_sinks(self.segments, self.required, self.priced | self.gated)

    def detours(self) -> Detours | None:
        """Cheapest ways to the one sink that matters, ready for erasing; `None` where several matter.

        A product that may be lost needs several ways at once.
        """
        if len(self.essential) != 1 or self.protected or self.gated:
            return None
        return Detours(self.segments, self.essential[0], self.priced)

    def witness(self, erased: Iterable[int]) -> frozenset[int] | None:
        """Removal structures on paths that keep everything connected, few of them; `None` if there are none.

        With one sink this is a shortest path by 0-1 breadth-first search, O(V + E), and no valid set that
        contains `erased` can hold more than all structures but these. With several sinks the paths are
        united one after the other, each as cheap as what is already there allows: a set that surely works,
        seldom one structure larger than needed. A path through a product takes paths to all factors with it.
        """
        gone = self.closure(erased) if self.gated else frozenset(erased)
        starts = {s.id for s in self.segments if s.starts}
        ends = frozenset(s.id for s in self.segments if s.outputs)
        kept: set[int] = set()

        def reach(sink: int) -> bool:
            if sink in kept:
                return True
            path = (
                self._ways(sink, kept, gone)
                if self.gated
                else self._path(sink, starts, kept, gone, forward=False)
            )
            kept.update(path or ())
            return path is not None

        if not all(reach(sink) for sink in sorted(self.essential)):
            return None
        for s in sorted(self.protected):
            path = self._path(s, ends, set(), gone, forward=True, paid=kept)
            if path is None:
                return None
            products = sorted(self.gated.intersection(path))
            if not all(reach(f) for product in products for f in self.segments.annihilators[product]):
                return None
            kept.update(path)
        return frozenset(kept & self.priced)

    @cached_property
    def _order(self) -> list[int]:
        place = places(self.segments)
        return sorted(place, key=place.__getitem__)

    def _ways(self, sink: int, kept: Collection[int], gone: frozenset[int]) -> list[int] | None:
        """Return the segments on cheap ways to a sink, to all factors of each product among them.

        A product costs what all its factors cost, any other segment what its cheapest input costs; a segment
        that two factors need is paid for twice here, so that the ways may not be the cheapest.
        """
        cost: dict[int, float] = {}
        needed: dict[int, tuple[int, ...]] = {}
        for here in self._order:
            s = self.segments[here]
            if here in gone:
                cost[here] = inf
                continue
            if here in self.gated and here not in kept:
                needed[here] = tuple(sorted(self.segments.annihilators[here]))
                below = sum(cost[before] for before in needed[here])
            elif here in kept or s.starts:
                needed[here], below = (), 0.0
            else:
                best = min(s.predecessors, key=cost.__getitem__, default=None)
                needed[here] = () if best is None else (best,)
                below = inf if best is None else cost[best]
            cost[here] = below + (here in self.priced and here not in kept)
        if cost[sink] == inf:
            return None
        found, queue = {sink}, [sink]
        while queue:
            for before in needed[queue.pop()]:
                if before not in found:
                    found.add(before)
                    queue.append(before)
        return sorted(found)

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


_ACCEPTED = "lowest score left"
_CUT_OFF = "kept: without it the network falls apart"
_NO_ROOM = "kept: with it gone, {} structures could not go in all"


@dataclass(frozen=True, slots=True)
class SelectionStep:
    """What became of one candidate, and why."""

    structure: int
    saliency: float
    is_accepted: bool
    reason: str
    erased: tuple[int, ...]
    """Accepted so far, in the order of acceptance."""


def steps(
    connectivity: Connectivity,
    saliency: Mapping[int, float],
    k: int,
    *,
    hierarchical: bool = True,
    lookahead: bool = True,
) -> Iterator[SelectionStep]:
    """Yield each candidate with its fate until `k` are accepted; ties go by structure id.

    `hierarchical=False` accepts the first `k` without any check (DHSPG's selection).
    """
    room = len(connectivity.priced) - k
    verdict: Callable[[int], str]
    if not hierarchical:
        verdict = _always
    elif not lookahead:
        verdict = _while_connected(connectivity)
    elif (detours := connectivity.detours()) is not None:
        verdict = _with_detours(detours, room)
    else:
        verdict = _with_witness(connectivity, room)
    accepted: tuple[int, ...] = ()
    for structure in sorted(saliency, key=lambda i: (saliency[i], i)):
        if len(accepted) == k:
            return
        reason = verdict(structure)
        if reason == _ACCEPTED:
            accepted = (*accepted, structure)
        yield SelectionStep(structure, saliency[structure], reason == _ACCEPTED, reason, accepted)


def _always(structure: int) -> str:
    return _ACCEPTED


def _while_connected(connectivity: Connectivity) -> Callable[[int], str]:
    """The documents' check: is everything still connected?"""
    erased: list[int] = []

    def verdict(structure: int) -> str:
        if not connectivity.is_valid([*erased, structure]):
            return _CUT_OFF
        erased.append(structure)
        return _ACCEPTED

    return verdict


def _with_detours(detours: Detours, room: int) -> Callable[[int], str]:
    """One sink: is there a way round the candidate with at most `room` structures on it?"""

    def verdict(structure: int) -> str:
        cost = detours.around(structure)
        if cost > room:
            return _CUT_OFF if isinf(cost) else _NO_ROOM.format(len(detours.crossing) - room)
        detours.erase(structure)
        return _ACCEPTED

    return verdict


def _with_witness(connectivity: Connectivity, room: int) -> Callable[[int], str]:
    """Several sinks: off the witness nothing can break, so only candidates on it cost a search."""
    erased: list[int] = []
    witness = connectivity.witness(())

    def verdict(structure: int) -> str:
        nonlocal witness
        if witness is None or structure in witness:
            narrower = connectivity.witness([*erased, structure])
            if narrower is None:
                return _CUT_OFF
            if len(narrower) > room:
                return _NO_ROOM.format(len(connectivity.priced) - room)
            witness = narrower
        erased.append(structure)
        return _ACCEPTED

    return verdict


PROTECTED = "protected"
FROZEN = (PROTECTED, "removable")
"""What may become of structures and channel groups with frozen parameters."""
_WORD = "frozen: "


def frozen_names(network: Any) -> tuple[str, ...] | None:
    """Return the names of parameters that require no gradients now; `None` if `network` holds none."""
    parameters = getattr(network, "named_parameters", None)
    return None if parameters is None else tuple(name for name, p in parameters() if not p.requires_grad)


def frozen_reason(name: str) -> str:
    """Return the reason why a structure with this frozen parameter stays.

    Examples:
        >>> frozen_reason("layer1.0.conv1.weight"), is_frozen_reason(frozen_reason("a"))
        ('frozen: layer1.0.conv1.weight', True)
    """
    return f"{_WORD}{name}"


def is_frozen_reason(reason: str | None) -> bool:
    """Return whether `reason` is that of a frozen parameter."""
    return reason is not None and reason.startswith(_WORD)


def frozen_segments(segments: SegmentGraph, frozen: Collection[str]) -> dict[int, str]:
    """Return for each segment that could only go with zeros in a frozen parameter: the reason why it stays.

    Segments that reach no output anyway are left out: nothing could keep them connected.
    """
    if not frozen:
        return {}
    bare = Connectivity(segments, frozenset(), frozenset(), frozenset())
    connected, rows = bare.alive(frozenset()), _with_rows(segments, frozen)
    found: dict[int, str] = {}
    for s in segments:
        if s.id not in connected:
            continue
        own = next((name for name in s.parameters if name in frozen), None)
        name = own or frozen_rows(segments, bare.closure([s.id]), rows)
        if name is not None:
            found[s.id] = frozen_reason(name)
    return found


def frozen_rows(segments: SegmentGraph, gone: Collection[int], frozen: Collection[str]) -> str | None:
    """Return a frozen parameter of which rows must be zero when the segments `gone` are erased."""
    if not frozen or not gone:
        return None
    return next((row.tensor for row in entailed_rows(segments, gone) if row.tensor in frozen), None)


def _with_rows(segments: SegmentGraph, frozen: Collection[str]) -> frozenset[str]:
    """Return the parameters that can have rows for channels of earlier structures; usually few."""
    trace = segments.trace
    mixing = {v.id for v in trace if v.role is Role.STEM and v.attributes.get("groups", 1) == 1}
    return frozenset(name for name in frozen if not mixing.issuperset(trace.parameter_readers.get(name, ())))
