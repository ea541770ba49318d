"""Construction as a plan: what is erased, bypassed, sliced and filled (ASGNAS, section 3.3).

The plan is plain data, made from the graph alone. The torch wing only carries it out; pages show it before
anything is cut. Pass 1 erases, pass 2 follows the channels that are missing behind concatenations, pass 3
clears dead ends and bypasses joints that are left with one operand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from types import MappingProxyType
from typing import Any

from nasviz.graph.construction.zero_propagation import Fill, Missing
from nasviz.graph.operators.index_maps import Gather
from nasviz.graph.operators.propagation import Fold
from nasviz.graph.segments.segment_graph import SegmentGraph
from nasviz.graph.structures.gates import Gate
from nasviz.graph.trace_graph import Slice, TraceGraph

__all__ = ["ConstructionPlan", "Fill", "entailed_rows", "plan"]


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
    slices = tuple(s for passage in missing.passages.values() for s in passage.slices)
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
        retyped={v: p.retyped for v, p in missing.passages.items() if p.retyped},
        work_left={v: p.kept[0] / p.kept[1] for v, p in missing.passages.items() if p.kept[0] < p.kept[1]},
        lost_outputs=tuple(o.id for o in trace.outputs if o.source in erased),
        channels=channels,
        widths={v: (z.size, z.size - len(z.rows)) for v in narrowed for z in [missing.zeros[v]]},
        params_before=trace.num_parameters,
        params_after=_num_parameters(trace, erased, slices) + _new_biases(trace, folds, narrowed),
        macs_before=trace.macs,
        macs_after=sum(macs.values()),
    )


def entailed_rows(segments: SegmentGraph, gone: Collection[int]) -> tuple[Slice, ...]:
    """Rows of later norms and biases that must be zero when the segments `gone` are erased."""
    erased = {v: "selected" for i in gone for v in segments[i].vertices}
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
