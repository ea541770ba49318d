"""What is missing behind erased vertices, followed forward through a trace graph in topological order.

From the joints that lost an operand on, channels are missing until a linear map mixes them: each vertex in
between is asked for its slicing rule. Where there is none, it is tried as a step of a channel shuffle; where
that ends nowhere, zeros or constants are written back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from nasviz.errors import ConstructionError
from nasviz.graph.operators.binding import move_of
from nasviz.graph.operators.index_maps import Gather, IndexMap, follow, gathered
from nasviz.graph.operators.moves import piece_index
from nasviz.graph.operators.propagation import Passage, Zeros
from nasviz.graph.operators.rules import Role
from nasviz.graph.operators.zeros import concatenated, meet, pass_through, without_outputs
from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["Fill", "Missing"]

_Map = IndexMap | tuple[IndexMap | None, ...]
"""A value in another order, or the pieces of one."""


@dataclass(frozen=True, slots=True)
class Fill:
    """Zeros, or constants, written back because a reader has no slicing rule: exact, but nothing is saved."""

    source: str
    """Vertex whose value is widened again."""
    axis: int
    rows: tuple[int, ...]
    """Where they go."""
    size: int
    readers: tuple[str, ...]
    """Vertices and virtual outputs that get the widened value."""
    values: tuple[float, ...] = ()
    """What is written at each of the rows; empty where it is zero at all of them."""


@dataclass
class Missing:
    """Follows missing channels forward from the readers of erased vertices.

    Args:
        trace: The trace graph.
        erased: Vertices that go.
        narrowed: For each operator the channels that it makes no more.
    """

    trace: TraceGraph
    erased: Collection[str]
    narrowed: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    dropped: dict[str, tuple[int, ...]] = field(default_factory=dict)
    bypassed: dict[str, str] = field(default_factory=dict)
    passages: dict[str, Passage] = field(default_factory=dict)
    gathers: dict[str, Gather] = field(default_factory=dict)
    zeros: dict[str, Zeros] = field(default_factory=dict)
    """What is missing in each value that is computed without it."""
    maps: dict[str, _Map] = field(default_factory=dict)
    """Values on the way to a gather; they are not computed, unless somebody else reads them."""
    filled: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        place = self.trace.places
        outputs = {o.id for o in self.trace.outputs}
        queue: list[int] = []

        def wake(vertex_id: str) -> None:
            for reader in self.trace.consumers[vertex_id]:
                if reader in outputs:
                    self._fill(reader, [vertex_id])
                elif reader not in self.erased:
                    heappush(queue, place[reader])

        for vertex_id in self.erased:
            wake(vertex_id)
        for vertex_id in self.narrowed:
            heappush(queue, place[vertex_id])
        done = -1
        while queue:
            index = heappop(queue)
            if index == done:
                continue
            done = index
            vertex = self.trace.vertices[index]
            self._visit(vertex)
            if vertex.id in self.zeros or vertex.id in self.maps:
                wake(vertex.id)

    def fills(self) -> tuple[Fill, ...]:
        """What is written back, one entry for each value."""
        return tuple(
            Fill(source, z.axis, z.rows, z.size, tuple(dict.fromkeys(readers)), z.values)
            for source, readers in self.filled.items()
            for z in [self.zeros[source]]
        )

    def _visit(self, vertex: Vertex) -> None:
        lost = tuple(i for i, source in enumerate(vertex.inputs) if source in self.erased)
        if lost and not vertex.is_joint:
            raise ConstructionError(f"{vertex.name} lost its only operand but was not erased")
        if lost:
            self.dropped[vertex.id] = lost
            kept = [s for i, s in enumerate(vertex.inputs) if i not in lost]
            if len(kept) == 1:
                self.bypassed[vertex.id] = kept[0]
        zeros = self._joint(vertex) if vertex.is_joint else self._single(vertex)
        if zeros is not None:
            self.zeros[vertex.id] = zeros

    def _single(self, vertex: Vertex) -> Zeros | None:
        source = vertex.inputs[0]
        passage = pass_through(vertex, self.zeros[source], self.trace) if source in self.zeros else None
        if vertex.id in self.narrowed:
            if passage is None:
                self._fill(vertex.id, [source])
            passage = without_outputs(vertex, self.narrowed[vertex.id], passage, self.trace)
        if passage is None:
            return self._reordered(vertex, source)
        self.passages[vertex.id] = passage
        return passage.zeros

    def _reordered(self, vertex: Vertex, source: str) -> Zeros | None:
        """Take channels one step further to where they are picked; where that ends, they are filled in."""
        before = self.maps.get(source) or IndexMap.start(source, vertex.id, self.zeros[source])
        after: _Map | None
        if isinstance(before, tuple):
            index = piece_index(vertex, len(before))
            after = None if index is None else before[index]
        else:
            after = follow(move_of(vertex, self.trace), before, self.trace.shapes[source])
        if isinstance(after, IndexMap) and len(after.lengths) == 1:
            if found := gathered(vertex.id, after, self.zeros[after.origin]):
                self.gathers[vertex.id], zeros = found
                return zeros
            after = None
        if after is None:
            self._fill(vertex.id, [source])
        else:
            self.maps[vertex.id] = after
        return None

    def _joint(self, vertex: Vertex) -> Zeros | None:
        kept = [source for source in vertex.inputs if source not in self.erased]
        if vertex.role is Role.CONCATENATING and isinstance(axis := vertex.attributes.get("dim"), int):
            return self._concatenation(vertex, kept, axis)
        if vertex.id in self.bypassed and vertex.role is not Role.ADDITIVE:
            zeros = self.zeros.get(kept[0])
            if zeros is not None and zeros.is_zero:
                return zeros
        elif passage := self._met(vertex):
            if vertex.role is not Role.ADDITIVE:
                self.passages[vertex.id] = passage
            return passage.zeros
        self._fill(vertex.id, kept)
        return None

    def _met(self, vertex: Vertex) -> Passage | None:
        """Return what the operands of a sum or product that miss channels make of them."""
        if not self.maps.keys().isdisjoint(vertex.inputs):
            return None
        gone = [place for place, source in enumerate(vertex.inputs) if source in self.erased]
        if gone and vertex.role is not Role.ADDITIVE:
            return None
        return meet(vertex, [self.zeros.get(source) for source in vertex.inputs], self.trace, gone)

    def _concatenation(self, vertex: Vertex, kept: Sequence[str], axis: int) -> Zeros | None:
        """What is missing along its axis shifts; what is missing along another one is filled."""
        found = {source: self.zeros[source] for source in kept if source in self.zeros}
        along = {source: z for source, z in found.items() if z.axis == axis}
        self._fill(vertex.id, [source for source in kept if source not in along])
        shapes = self.trace.shapes
        return concatenated([(along.get(s), shapes[s][axis], s in self.erased) for s in vertex.inputs], axis)

    def _fill(self, reader: str, sources: Iterable[str]) -> None:
        """Give a reader all of what it reads; a chain on the way to a gather gets all of its origin back."""
        for source in sources:
            if source in self.zeros:
                self.filled[source].append(reader)
            elif found := self.maps.get(source):
                pieces = found if isinstance(found, tuple) else (found,)
                first = next(piece for piece in pieces if piece is not None)
                self.filled[first.origin].append(first.root)
