"""Construction as a plan: what is erased, bypassed, sliced, filled and gathered (ASGNAS, section 3.3).

The plan is plain data, made from the graph alone. The torch wing only carries it out; pages show it before
anything is cut. Pass 1 erases, pass 2 follows the channels that are missing behind concatenations
(`Missing`), pass 3 clears dead ends and bypasses joints that are left with one operand.

From the joints that lost an operand on, channels are missing until a linear map mixes them: each vertex in
between is asked for its slicing rule. Where there is none, it is tried as a step of a channel shuffle
(`IndexMap`): the steps of a shuffle together only say which channel comes where, so the value at their end is
picked from the value at their start (`Gather`). Where that ends nowhere, zeros or constants are written back
(`Fill`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from heapq import heappop, heappush
from itertools import product
from math import prod
from types import MappingProxyType
from typing import Any

from nasviz.errors import ConstructionError
from nasviz.graph.operators.computed import computed_move, computed_names, sources
from nasviz.graph.operators.moves import Copied, Cut, Reshaped, Shuffled, Turned, Window, piece_index
from nasviz.graph.operators.rules import Move, Role
from nasviz.graph.operators.zeros import (
    Fold,
    Passage,
    Zeros,
    bind,
    concatenated,
    meet,
    move_of,
    pass_through,
    through_maps,
    without_outputs,
)
from nasviz.graph.segments import SegmentGraph
from nasviz.graph.structures import Gate
from nasviz.graph.trace_graph import Slice, TraceGraph, Vertex

__all__ = [
    "ConstructionPlan",
    "Fill",
    "Gather",
    "IndexMap",
    "Missing",
    "entailed_rows",
    "follow",
    "gathered",
    "plan",
]


@dataclass(frozen=True, slots=True)
class Gather:
    """A value that is picked from the live channels of an earlier one."""

    vertex: str
    """Whose value it is."""
    source: str
    """The earlier vertex."""
    axis: int
    index: tuple[int, ...]
    """Places among the live channels of `source`."""


@dataclass(frozen=True, slots=True)
class IndexMap:
    """A value whose axes from `axis` on hold channels of `origin`; its other axes are those of `origin`."""

    origin: str
    """The vertex whose missing channels were not followed further."""
    root: str
    """The vertex that reads it: gets all of it back where somebody needs a value in between."""
    axis: int
    lengths: tuple[int, ...]
    """Of the axes that hold channels."""
    places: tuple[int, ...]
    """Channel of `origin` at every place, row by row."""

    @classmethod
    def start(cls, origin: str, root: str, zeros: Zeros) -> IndexMap:
        """All channels in their order."""
        return cls(origin, root, zeros.axis, (zeros.size,), tuple(range(zeros.size)))

    def taken(self, axis: int, indices: tuple[int, ...]) -> IndexMap | None:
        """With these indices only along one of its axes; `None` where there are none.

        Examples:
            >>> IndexMap("a", "b", 1, (2, 3), tuple(range(6))).taken(1, (2, 0)).places
            (2, 0, 5, 3)
        """
        if not indices:
            return None
        lengths = (*self.lengths[:axis], len(indices), *self.lengths[axis + 1 :])
        inner, length = prod(self.lengths[axis + 1 :]), self.lengths[axis]
        places = tuple(
            self.places[(outer * length + index) * inner + offset]
            for outer in range(prod(self.lengths[:axis]))
            for index in indices
            for offset in range(inner)
        )
        return replace(self, lengths=lengths, places=places)

    def turned(self, order: tuple[int, ...]) -> IndexMap:
        """With its axes in another order.

        Examples:
            >>> IndexMap("a", "b", 1, (2, 3), tuple(range(6))).turned((1, 0)).places
            (0, 3, 1, 4, 2, 5)
        """
        lengths = tuple(self.lengths[axis] for axis in order)
        strides = [prod(self.lengths[axis + 1 :]) for axis in order]
        places = tuple(
            self.places[sum(i * stride for i, stride in zip(place, strides, strict=True))]
            for place in product(*map(range, lengths))
        )
        return replace(self, lengths=lengths, places=places)


def follow(
    move: Move | str | None, before: IndexMap, shape: tuple[int, ...]
) -> IndexMap | tuple[IndexMap | None, ...] | None:
    """Return where channels are after one more move, or in the pieces that it makes; `None` without a rule.

    Args:
        move: Of a vertex of one operand.
        before: Of its operand.
        shape: Of its operand, in the full network.
    """
    match move:
        case Copied():
            return before
        case Reshaped():
            return _reshaped(before, shape, move.shape)
        case Turned():
            return _turned(move.order, before)
        case Shuffled():
            return _shuffled(move.groups, before)
        case Cut() if not move.drops and 0 <= (axis := move.axis - before.axis) < len(before.lengths):
            return tuple(before.taken(axis, tuple(range(*bounds))) for bounds in move.bounds) or None
        case Window(step=int(step)) if 0 <= (axis := move.axis - before.axis) < len(before.lengths):
            return before.taken(axis, tuple(range(move.first, move.last, step)))
    return None


def gathered(vertex: str, after: IndexMap, zeros: Zeros) -> tuple[Gather, Zeros | None] | None:
    """The value as picked from its origin, with what is missing in it; `None` where nothing in it lives.

    Args:
        vertex: Whose value it is.
        after: Of this value; its channels lie along one axis.
        zeros: Of the origin.
    """
    numbers = zeros.numbers
    live = (channel for channel in range(zeros.size) if channel not in numbers)
    narrow = {channel: place for place, channel in enumerate(live)}
    index = tuple(narrow[channel] for channel in after.places if channel in narrow)
    if not index:
        return None
    gone = {place: numbers[channel] for place, channel in enumerate(after.places) if channel in numbers}
    left = Zeros(after.axis, tuple(gone), len(after.places)).holding(gone) if gone else None
    return Gather(vertex, after.origin, zeros.axis, index), left


def _reshaped(before: IndexMap, old: tuple[int, ...], new: tuple[int, ...]) -> IndexMap | None:
    """Only the axes that hold channels may change."""
    ahead, behind = old[: before.axis], old[before.axis + len(before.lengths) :]
    lengths = new[before.axis : len(new) - len(behind)]
    if (*ahead, *lengths, *behind) != new or prod(lengths) != len(before.places):
        return None
    return replace(before, lengths=lengths)


def _turned(order: tuple[int | None, ...], before: IndexMap) -> IndexMap | None:
    """Only the axes that hold channels may change places."""
    mine = range(before.axis, before.axis + len(before.lengths))
    if any(
        (old in mine) != (new in mine) or (old != new and new not in mine) for new, old in enumerate(order)
    ):
        return None
    return before.turned(tuple(old - before.axis for old in order if old is not None and old in mine))


def _shuffled(groups: int, before: IndexMap) -> IndexMap | None:
    if before.axis != 1 or len(before.lengths) != 1:
        return None
    (channels,) = before.lengths
    table = replace(before, lengths=(groups, channels // groups)).turned((1, 0))
    return replace(table, lengths=before.lengths)


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
    whole: set[tuple[str, int]] = field(default_factory=set)
    """Dimensions of tensors that are not cut, because a vertex reads rows there that another one does not."""
    is_cautious: bool = False
    """Whether values that are not known end at once: they cannot be filled in where no product takes them."""

    def __post_init__(self) -> None:
        self._follow()
        while (disputed := self._disputed()) or self._has_unknown_fill():
            self.is_cautious |= not disputed
            self.whole |= disputed
            for found in (self.dropped, self.bypassed, self.passages, self.gathers, self.zeros, self.maps):
                found.clear()
            self.filled.clear()
            self._follow()

    def _has_unknown_fill(self) -> bool:
        """Return whether a reader needs something back that is not a number."""
        return any(not self.zeros[source].is_known for source in self.filled)

    def cuts(self) -> dict[tuple[str, int], dict[str, set[int]]]:
        """Return the rows that are cut from each dimension of a tensor, by the vertex that reads them."""
        found: dict[tuple[str, int], dict[str, set[int]]] = {}
        for vertex_id, passage in self.passages.items():
            for piece in passage.slices:
                found.setdefault((piece.tensor, piece.dim), {}).setdefault(vertex_id, set()).update(
                    piece.rows
                )
        return found

    def _disputed(self) -> set[tuple[str, int]]:
        """Return the dimensions of shared tensors whose readers do not all miss the same rows."""
        found: set[tuple[str, int]] = set()
        for (tensor, dim), cuts in self.cuts().items():
            readers = self.trace.parameter_readers.get(tensor) or self.trace.buffer_readers.get(tensor, ())
            rows = set().union(*cuts.values())
            for reader in readers if len(readers) > 1 else ():
                left = rows - cuts.get(reader, set())
                if left and reader not in self.erased and left & _rows_read(self.trace, reader, tensor, dim):
                    found.add((tensor, dim))
        return found

    def _follow(self) -> None:
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
        """Return what is written back, one entry for each value."""
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
        if passage and not self._may_go_on(passage):
            passage = None
        if vertex.id in self.narrowed:
            if passage is None:
                self._fill(vertex.id, [source])
            passage = without_outputs(vertex, self.narrowed[vertex.id], passage, self.trace)
        if passage is None:
            return self._reordered(vertex, source)
        self.passages[vertex.id] = passage
        return passage.zeros

    def _may_go_on(self, passage: Passage) -> bool:
        """Return whether its tensors may be cut, and what it makes is known where that matters."""
        is_known = passage.zeros is None or passage.zeros.is_known
        is_cut = not any((piece.tensor, piece.dim) in self.whole for piece in passage.slices)
        return is_cut and (is_known or not self.is_cautious)

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
        elif (passage := self._met(vertex)) and self._may_go_on(passage):
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
        """Shift what is missing along its axis; fill what is missing along another one."""
        found = {source: self.zeros[source] for source in kept if source in self.zeros}
        along = {source: z for source, z in found.items() if z.axis == axis}
        if len(found) == len(set(vertex.inputs)) and not along:
            first, *others = found.values()
            if all((z.axis, z.rows, z.size) == (first.axis, first.rows, first.size) for z in others):
                is_same = all(z.values == first.values for z in others)
                if is_same or not self.is_cautious:
                    return first if is_same else first.freed
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


@dataclass(frozen=True, slots=True)
class ConstructionPlan:
    """What has to be done to a network to make it the sub-network."""

    selected: tuple[int, ...]
    orphaned: tuple[int, ...]
    """Removal structures that go because all their inputs went."""
    gates: tuple[int, ...]
    """Gates replaced by their value at zero."""
    erased: dict[str, str]
    """For each erased vertex why: `selected`, `orphaned`, `gate` or `dead end`."""
    dropped: dict[str, tuple[int, ...]]
    """For each joint that loses operands: their positions."""
    bypassed: dict[str, str]
    """For each joint left with one operand: that operand."""
    scaled: dict[str, float]
    """For each product that lost its gate: the number that stands for it."""
    slices: tuple[Slice, ...]
    """Rows cut from parameters and buffers."""
    fills: tuple[Fill, ...]
    folds: tuple[Fold, ...]
    """Columns of weights that met a constant, which goes into a bias."""
    gathers: tuple[Gather, ...]
    """Values that are picked from live channels of earlier ones, in topological order."""
    retyped: dict[str, dict[str, int | float]]
    """New module attributes by vertex, such as `in_channels`, and new literals of calls."""
    work_left: dict[str, float]
    """For each vertex that lost channels of what it reads: the share of its work that is left."""
    lost_outputs: tuple[str, ...]
    """Optional virtual outputs that are gone."""
    channels: tuple[int, ...]
    """Channel groups that are cut."""
    widths: dict[str, tuple[int, int]]
    """For each operator that makes fewer channels: how many before and after."""
    params_before: int
    params_after: int
    macs_before: int
    macs_after: int

    def __repr__(self) -> str:
        return (
            f"ConstructionPlan({len(self.selected)} selected, {len(self.orphaned)} orphaned,"
            f" {len(self.slices)} slices, {self.params_before:,} to {self.params_after:,} parameters)"
        )

    @property
    def materialised(self) -> tuple[str, ...]:
        """Vertices and outputs that get zeros written back, for want of a slicing rule."""
        return tuple(dict.fromkeys(reader for fill in self.fills for reader in fill.readers))

    def to_json(self) -> dict[str, Any]:
        """Plain data, ready for `json.dumps`."""
        return asdict(self)


def plan(
    segments: SegmentGraph,
    selected: tuple[int, ...],
    gone: frozenset[int],
    removable: Collection[int],
    gates: Sequence[Gate] = (),
    channels: tuple[int, ...] = (),
    narrowed: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
) -> ConstructionPlan:
    """Plan the construction without `gates` and the segments `gone`, the closure of `selected`.

    Args:
        segments: The segment graph.
        selected: Structures that were chosen.
        gone: They and what they orphan.
        removable: Ids of all structures that count.
        gates: Gates that are replaced by their value at zero.
        channels: Channel groups that are cut.
        narrowed: For each operator the channels that it makes no more.
    """
    trace = segments.trace
    erased = {
        v: "selected" if i in selected else "orphaned" for i in sorted(gone) for v in segments[i].vertices
    }
    erased |= {v: "gate" for gate in gates for v in gate.vertices}
    alive = _reaching_an_output(trace, erased)
    erased |= {v.id: "dead end" for v in trace if v.id not in alive and v.id not in erased}
    narrowed = {vertex: rows for vertex, rows in narrowed.items() if vertex not in erased}
    missing = Missing(trace, erased, narrowed)
    macs = {v.id: v.macs for v in trace if v.id not in erased}
    for vertex_id, passage in missing.passages.items():
        numerator, denominator = passage.kept
        macs[vertex_id] = macs[vertex_id] * numerator // denominator
    macs |= dict.fromkeys(missing.gathers, 0)
    slices = tuple(
        Slice(tensor, dim, tuple(sorted(set().union(*cuts.values()))), next(iter(cuts)))
        for (tensor, dim), cuts in missing.cuts().items()
    )
    folds = tuple(p.fold for p in missing.passages.values() if p.fold is not None)
    return ConstructionPlan(
        selected=selected,
        orphaned=tuple(i for i in sorted(gone) if i not in selected and i in removable),
        gates=tuple(gate.id for gate in gates),
        erased=erased,
        dropped=missing.dropped,
        bypassed=missing.bypassed,
        scaled={gate.product: gate.value for gate in gates if gate.product not in erased},
        slices=slices,
        fills=missing.fills(),
        folds=folds,
        gathers=tuple(missing.gathers.values()),
        retyped={v: p.retyped for v, p in missing.passages.items() if p.retyped} | _retyped(trace, slices),
        work_left={v: p.kept[0] / p.kept[1] for v, p in missing.passages.items() if p.kept[0] < p.kept[1]},
        lost_outputs=tuple(o.id for o in trace.outputs if o.source in erased),
        channels=channels,
        widths={v: (z.size, z.size - len(z.rows)) for v in narrowed for z in [missing.zeros[v]]},
        params_before=trace.num_parameters,
        params_after=_num_parameters(trace, erased, slices) + _new_biases(trace, folds, narrowed),
        macs_before=trace.macs,
        macs_after=sum(macs.values()),
    )


def _rows_read(trace: TraceGraph, reader: str, tensor: str, dim: int) -> set[int]:
    """Return the rows of a tensor that a vertex reads."""
    everything = set(range(trace.tensor_shapes[tensor][dim]))
    bound = bind(trace[reader], trace)
    if isinstance(bound, str):
        return everything
    found: set[int] = set()
    for argument, name in bound.tensors.items():
        if tensor not in trace.leaves(name):
            continue
        axes = (sources(trace, name, axis) or () for axis in range(len(bound.shapes[argument])))
        lines = [s.line for parts in axes for s in parts if (s.tensor, s.dim) == (tensor, dim)]
        if not lines or None in lines:
            return everything
        found |= {row for line in lines for row, index in enumerate(line or ()) if index >= 0}
    return found


def _retyped(trace: TraceGraph, slices: Iterable[Slice]) -> dict[str, dict[str, int | float]]:
    """Return the new literals of the calls that compute weights, from the rows cut from what they read."""
    cuts: dict[str, list[Zeros]] = {}
    for piece in slices:
        size = trace.tensor_shapes[piece.tensor][piece.dim]
        cuts.setdefault(piece.tensor, []).append(Zeros(piece.dim, piece.rows, size))
    found: dict[str, dict[str, int | float]] = {}
    for name, vertex in trace.computed.items():
        if cuts.keys().isdisjoint(vertex.inputs):
            continue
        move, after = computed_move(trace, vertex), dict[int, Zeros]()
        if isinstance(move, str):
            continue  # nothing that is cut passes here
        if move is not None:
            for before in cuts.get(vertex.inputs[0], ()):
                maps = move.maps(before.axis, trace.tensor_shapes[vertex.inputs[0]])
                zeros = None if isinstance(maps, str) else through_maps(maps, before)
                literals = move.literals(before, zeros)
                if zeros is None or literals is None:
                    raise ConstructionError(
                        f"{vertex.name} ({vertex.operator}) cannot compute a narrower weight"
                    )
                found.setdefault(vertex.id, {}).update(literals)
                if zeros.rows:
                    after[zeros.axis] = zeros
        elif names := computed_names(trace, vertex):
            for argument, operand in vertex.tensors.items():
                for before in cuts.get(operand, ()):
                    axis = names.tensors[argument][before.axis]
                    if axis in names.result:
                        place = names.result.index(axis)
                        after[place] = replace(before, axis=place)
        if after:
            cuts[name] = list(after.values())
    return {vertex: literals for vertex, literals in found.items() if literals}


def entailed_rows(segments: SegmentGraph, gone: Collection[int]) -> tuple[Slice, ...]:
    """Rows of later norms and biases that must be zero when the segments `gone` are erased."""
    erased = dict.fromkeys(segments.vertices_of(gone), "selected")
    missing = Missing(segments.trace, erased)
    return tuple(s for passage in missing.passages.values() for s in passage.entailed)


def _reaching_an_output(trace: TraceGraph, erased: Collection[str]) -> set[str]:
    """Vertices from which a virtual output is reached without passing erased ones."""
    alive = {o.source for o in trace.outputs if o.source not in erased}
    for vertex in reversed(trace.vertices):
        if vertex.id in alive and vertex.id not in erased:
            alive.update(source for source in vertex.inputs if source not in erased)
    return alive


def _new_biases(trace: TraceGraph, folds: Iterable[Fold], narrowed: Mapping[str, tuple[int, ...]]) -> int:
    """Parameters of the biases that linear maps without one are given."""
    bare = [trace[fold.vertex] for fold in folds if len(trace[fold.vertex].parameters) == 1]
    return sum(trace.parameter_shapes[v.parameters[0]][0] - len(narrowed.get(v.id, ())) for v in bare)


def _num_parameters(trace: TraceGraph, erased: Collection[str], slices: Iterable[Slice]) -> int:
    names = {name for v in trace if v.id not in erased for name in v.parameters}
    sizes = {name: prod(trace.parameter_shapes[name]) for name in names}
    for cut in slices:
        if cut.tensor in sizes:
            length = trace.parameter_shapes[cut.tensor][cut.dim]
            sizes[cut.tensor] = sizes[cut.tensor] // length * (length - len(cut.rows))
    return sum(sizes.values())
