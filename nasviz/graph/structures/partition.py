"""Variable partition of a network (ASGNAS, figure 2c; OTOv3, figure 1c): G_s and its complement.

Every parameter is in exactly one part: in the group of the removal structure that owns it, or in the
complement. Parameters that read a concatenation also say which of their entries read which operand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

from nasviz.graph.operators.propagation import Zeros
from nasviz.graph.operators.rules import Role
from nasviz.graph.operators.zeros import pass_through
from nasviz.graph.segments.segment_graph import SegmentGraph
from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["Origin", "Variable", "VariablePartition", "origins"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Entries of a parameter that read the values of one operand of a concatenation."""

    source: str
    """Operand: a vertex, or an input of the network."""
    segment: int | None
    """Segment of the operand; None for an input of the network."""
    dim: int
    """Dimension of the parameter: 1 for the columns of a weight."""
    rows: tuple[int, ...]
    """Indices along this dimension."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One parameter with its part."""

    name: str
    shape: tuple[int, ...]
    readers: tuple[str, ...]
    """Vertices that read it; empty if none does."""
    structure: int | None
    """Removal structure whose group holds it; None in the complement of G_s."""
    origins: tuple[Origin, ...] = ()
    """Where the channels that its entries read come from; empty without a concatenation before it."""

    @property
    def size(self) -> int:
        """Number of its entries."""
        return prod(self.shape)

    def to_json(self) -> dict[str, Any]:
        """Return plain data; indices as pairs of first and last."""
        document: dict[str, Any] = {"name": self.name, "shape": list(self.shape)}
        if self.origins:
            document["origins"] = [
                {"source": o.source, "segment": o.segment, "dim": o.dim, "rows": _runs(o.rows)}
                for o in self.origins
            ]
        return document


@dataclass(frozen=True)
class VariablePartition:
    """All parameters of a network, divided into the groups of G_s and the complement.

    Examples:
        >>> kept, gone = Variable("a", (4, 2), ("a",), None), Variable("b", (4,), ("b",), 3)
        >>> partition = VariablePartition((kept, gone))
        >>> partition.groups, partition.num_complement
        ({3: (Variable(name='b', shape=(4,), readers=('b',), structure=3, origins=()),)}, 8)
    """

    variables: tuple[Variable, ...] = field(repr=False)

    @cached_property
    def groups(self) -> Mapping[int, tuple[Variable, ...]]:
        """G_s: variables of each removable structure, by its id."""
        ids = sorted({v.structure for v in self.variables if v.structure is not None})
        return {i: tuple(v for v in self.variables if v.structure == i) for i in ids}

    @cached_property
    def complement(self) -> tuple[Variable, ...]:
        """Variables outside G_s."""
        return tuple(v for v in self.variables if v.structure is None)

    @property
    def num_complement(self) -> int:
        """Number of entries of the complement."""
        return sum(v.size for v in self.complement)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `json.dumps`."""
        groups = {str(i): [v.to_json() for v in group] for i, group in self.groups.items()}
        return {"groups": groups, "complement": [v.to_json() for v in self.complement]}


def origins(segments: SegmentGraph) -> dict[str, tuple[Origin, ...]]:
    """Return, for each parameter behind a concatenation, where the channels of its entries come from.

    Each operand is followed forward by the rules that construction follows missing channels with, through
    norms and reshapes, up to the operators that mix channels. An addition with another value ends it.
    """
    trace = segments.trace
    marks: dict[str, dict[str, Zeros]] = {}
    found: dict[str, list[Origin]] = {}
    for vertex in trace:
        after: dict[str, Zeros] = {}
        if vertex.is_joint:
            after = dict(_concatenated(vertex, trace, marks))
        elif before := marks.get(vertex.inputs[0]):
            for source, entries in before.items():
                passage = pass_through(vertex, entries, trace)
                if passage is None:
                    continue
                home = segments.of(source).id if source in trace else None
                for cut in passage.slices:
                    found.setdefault(cut.tensor, []).append(Origin(source, home, cut.dim, cut.rows))
                if passage.zeros is not None:
                    after[source] = passage.zeros
        if after:
            marks[vertex.id] = after
    return {name: tuple(parts) for name, parts in found.items()}


def _concatenated(
    joint: Vertex, trace: TraceGraph, marks: Mapping[str, Mapping[str, Zeros]]
) -> Iterator[tuple[str, Zeros]]:
    """Yield the entries of a concatenation that come from each operand, or from operands of that."""
    dim = joint.attributes.get("dim")
    sizes = [trace.shapes[source][dim] for source in joint.inputs] if isinstance(dim, int) else []
    if joint.role is not Role.CONCATENATING or not isinstance(dim, int) or sum(sizes) != joint.shape[dim]:
        return
    rows: dict[str, list[int]] = {}
    start = 0
    for operand, size in zip(joint.inputs, sizes, strict=True):
        inner = {s: z for s, z in marks.get(operand, {}).items() if z.axis == dim}
        marked = {row: source for source, z in inner.items() for row in z.rows}
        for row in range(size):
            rows.setdefault(marked.get(row, operand), []).append(start + row)
        start += size
    for source, own in rows.items():
        yield source, Zeros(dim, tuple(own), start)


def _runs(rows: tuple[int, ...]) -> list[list[int]]:
    """Return ascending indices as pairs of first and last."""
    runs: list[list[int]] = []
    for row in rows:
        if runs and row == runs[-1][1] + 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    return runs
