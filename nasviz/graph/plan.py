"""Construction as a plan: what is erased, bypassed, sliced and filled (ASGNAS, section 3.3).

The plan is plain data, made from the graph alone. The torch wing only carries it out; pages show it before
anything is cut. Pass 1 erases, pass 2 follows the channels that are missing behind concatenations, pass 3
clears dead ends and bypasses joints that are left with one operand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from heapq import heappop, heappush
from math import prod
from types import MappingProxyType
from typing import Any

from nasviz.errors import ConstructionError
from nasviz.graph.channels import concatenated, pass_through
from nasviz.graph.gates import Gate
from nasviz.graph.mixers import without_outputs
from nasviz.graph.operators import Role
from nasviz.graph.passage import Passage, Zeros
from nasviz.graph.products import product
from nasviz.graph.segments import SegmentGraph
from nasviz.graph.structures import Slice
from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["ConstructionPlan", "Fill", "entailed_rows", "plan"]


@dataclass(frozen=True, slots=True)
class Fill:
    """Zeros written back, because a reader has no slicing rule: exact, but nothing is saved there."""

    source: str
    """Vertex whose value is widened again."""
    axis: int
    rows: tuple[int, ...]
    """Where the zeros go."""
    size: int
    readers: tuple[str, ...]
    """Vertices and virtual outputs that get the widened value."""
    value: float = 0.0
    """What is written: zero, or the constant that a gate makes of it."""


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
    missing = _Missing(trace, erased, narrowed)
    macs = {v.id: v.macs for v in trace if v.id not in erased}
    for vertex_id, passage in missing.passages.items():
        numerator, denominator = passage.kept
        macs[vertex_id] = macs[vertex_id] * numerator // denominator
    slices = tuple(s for passage in missing.passages.values() for s in passage.slices)
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
        retyped={v: p.retyped for v, p in missing.passages.items() if p.retyped},
        work_left={v: p.kept[0] / p.kept[1] for v, p in missing.passages.items() if p.kept[0] < p.kept[1]},
        lost_outputs=tuple(o.id for o in trace.outputs if o.source in erased),
        channels=channels,
        widths={v: (z.size, z.size - len(z.rows)) for v in narrowed for z in [missing.zeros[v]]},
        params_before=trace.num_parameters,
        params_after=_num_parameters(trace, erased, slices),
        macs_before=trace.macs,
        macs_after=sum(macs.values()),
    )


def entailed_rows(segments: SegmentGraph, gone: Collection[int]) -> tuple[Slice, ...]:
    """Rows of later norms and biases that must be zero when the segments `gone` are erased."""
    erased = {v: "selected" for i in gone for v in segments[i].vertices}
    missing = _Missing(segments.trace, erased)
    return tuple(s for passage in missing.passages.values() for s in passage.entailed)


def _reaching_an_output(trace: TraceGraph, erased: Collection[str]) -> set[str]:
    """Vertices from which a virtual output is reached without passing erased ones."""
    alive = {o.source for o in trace.outputs if o.source not in erased}
    for vertex in reversed(trace.vertices):
        if vertex.id in alive and vertex.id not in erased:
            alive.update(source for source in vertex.inputs if source not in erased)
    return alive


def _num_parameters(trace: TraceGraph, erased: Collection[str], slices: Iterable[Slice]) -> int:
    names = {name for v in trace if v.id not in erased for name in v.parameters}
    sizes = {name: prod(trace.parameter_shapes[name]) for name in names}
    for cut in slices:
        if cut.tensor in sizes:
            length = trace.parameter_shapes[cut.tensor][cut.dim]
            sizes[cut.tensor] = sizes[cut.tensor] // length * (length - len(cut.rows))
    return sum(sizes.values())


@dataclass
class _Missing:
    """Follows missing channels forward from the readers of erased vertices, in topological order."""

    trace: TraceGraph
    erased: Collection[str]
    narrowed: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    dropped: dict[str, tuple[int, ...]] = field(default_factory=dict)
    bypassed: dict[str, str] = field(default_factory=dict)
    passages: dict[str, Passage] = field(default_factory=dict)
    zeros: dict[str, Zeros] = field(default_factory=dict)
    filled: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        place = {v.id: index for index, v in enumerate(self.trace)}
        outputs = {o.id for o in self.trace.outputs}
        queue: list[int] = []

        def wake(vertex_id: str) -> None:
            for reader in self.trace.consumers[vertex_id]:
                if reader in outputs:
                    if vertex_id in self.zeros:
                        self.filled[vertex_id].append(reader)
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
            if vertex.id in self.zeros:
                wake(vertex.id)

    def fills(self) -> tuple[Fill, ...]:
        return tuple(
            Fill(source, z.axis, z.rows, z.size, tuple(dict.fromkeys(readers)), z.value)
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
        passage = self._through(vertex) if vertex.inputs[0] in self.zeros else None
        if vertex.id in self.narrowed:
            passage = without_outputs(vertex, self.narrowed[vertex.id], passage)
        if passage is None:
            return None
        self.passages[vertex.id] = passage
        return passage.zeros

    def _through(self, vertex: Vertex) -> Passage | None:
        """What becomes of channels that its only operand misses; without a rule they are filled in."""
        source = vertex.inputs[0]
        owns = all(len(self.trace.parameter_readers[name]) == 1 for name in vertex.parameters)
        passage = pass_through(
            vertex,
            self.zeros[source],
            self.trace.shapes[source],
            owns=owns,
            source=self.trace[source] if source in self.trace else None,  # noqa: SIM401
        )
        if passage is None:
            self.filled[source].append(vertex.id)
        return passage

    def _joint(self, vertex: Vertex) -> Zeros | None:
        kept = [source for source in vertex.inputs if source not in self.erased]
        if vertex.role is Role.CONCATENATING and isinstance(axis := vertex.attributes.get("dim"), int):
            return self._concatenation(vertex, kept, axis)
        if vertex.role is Role.ADDITIVE or vertex.id in self.bypassed:
            met = {(self.zeros.get(source), len(self.trace.shapes[source])) for source in kept}
            zeros = met.pop()[0] if len(met) == 1 else None
            if zeros is not None and (zeros.value == 0 or vertex.id in self.bypassed):
                return zeros
        elif len(kept) == len(vertex.inputs) and (passage := self._product(vertex)):
            self.passages[vertex.id] = passage
            return passage.zeros
        self._fill(vertex, kept)
        return None

    def _product(self, vertex: Vertex) -> Passage | None:
        operands = [self.zeros.get(source) for source in vertex.inputs]
        return product(vertex, operands, [self.trace.shapes[source] for source in vertex.inputs])

    def _concatenation(self, vertex: Vertex, kept: list[str], axis: int) -> Zeros | None:
        """What is missing along its axis shifts; what is missing along another one is filled."""
        found = {source: self.zeros[source] for source in kept if source in self.zeros}
        along = {source: z for source, z in found.items() if z.axis == axis and z.value == 0}
        self._fill(vertex, [source for source in kept if source not in along])
        shapes = self.trace.shapes
        return concatenated([(along.get(s), shapes[s][axis], s in self.erased) for s in vertex.inputs], axis)

    def _fill(self, vertex: Vertex, sources: Iterable[str]) -> None:
        for source in sources:
            if source in self.zeros:
                self.filled[source].append(vertex.id)
