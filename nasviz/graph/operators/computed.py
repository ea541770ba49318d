"""Values computed from parameters and buffers alone: which rows of which tensors they are made of.

A weight may reach an operator as a slice, view, transpose or function of what the network stores. The rules
of operators say how the axes of such a value correspond to those of the stored tensors; a row can be cut
there if it makes a part of the value by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nasviz.graph.operators.moves import piece
from nasviz.graph.operators.rules import (
    INPUTS,
    MEASURED,
    AxisMap,
    AxisNames,
    Move,
    OperatorRule,
    Role,
    axis_names,
    broadcast,
    terms,
)

if TYPE_CHECKING:
    from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = [
    "Source",
    "computed_move",
    "computed_names",
    "is_undefined_at_zero",
    "silencers",
    "sources",
    "zero_formula",
]


@dataclass(frozen=True, slots=True)
class Source:
    """One dimension of a stored tensor that an axis of a value is made of."""

    tensor: str
    dim: int
    line: tuple[int, ...] | None = None
    """For each row of the tensor the index of the value that it belongs to, -1 for none; `None` if each row
    is the index itself."""
    silences: bool = False
    """Whether the value is zero where its rows are zero, together with those of the other such sources."""

    def rows(self, indices: tuple[int, ...]) -> tuple[int, ...]:
        """Return the rows that belong to some indices of the value."""
        chosen = set(indices)
        return indices if self.line is None else tuple(r for r, i in enumerate(self.line) if i in chosen)


def sources(trace: TraceGraph, name: str, dim: int) -> tuple[Source, ...] | None:
    """Return the stored tensors that have rows for the indices along an axis of a value.

    `None` if some row does not belong to one index alone, or an operator on the way has no rule.

    Args:
        trace: The graph.
        name: Of a parameter, a buffer or a computed value.
        dim: Axis of the value.
    """
    if name not in trace.computed:
        return (Source(name, dim),)
    vertex = trace.computed[name]
    move = computed_move(trace, vertex)
    if move is not None:
        return None if isinstance(move, str) else _before(trace, vertex, move, dim)
    names = computed_names(trace, vertex)
    if names is None or not names.result[dim] or names.result[dim][0].isupper():
        return None  # it mixes what it has along this axis
    if vertex.rule.role is Role.NORM and names.result[dim] != "c":
        return None  # so does a norm along all but one
    found: list[Source] = []
    others: set[str] = set()
    axis = names.result[dim]
    for argument, operand in vertex.tensors.items():
        own, shape = names.tensors[argument], trace.tensor_shapes[operand]
        if axis in own and shape[own.index(axis)] == vertex.shape[dim]:
            if (inner := sources(trace, operand, own.index(axis))) is None:
                return None
            found += inner
        else:
            others |= trace.leaves(operand)
    # What is spread over the axis must not change when the tensors are cut.
    return tuple(found) if found and others.isdisjoint(s.tensor for s in found) else None


def computed_move(trace: TraceGraph, vertex: Vertex) -> Move | str | None:
    """Return how a computed value is moved, or why there is no rule; `None` if it is not a move."""
    rule, before = vertex.rule, vertex.inputs[0]
    if rule.takes_piece:
        return piece(vertex, computed_move(trace, trace.computed[before]) if before in trace.computed else "")
    return None if rule.move is None or vertex.is_joint else rule.move(vertex, trace.tensor_shapes[before])


def computed_names(trace: TraceGraph, vertex: Vertex) -> AxisNames | None:
    """Return the names of the axes of a computed value that is not a move; `None` without a rule."""
    rule = vertex.rule
    shapes: Mapping[str, tuple[int, ...]] = {a: trace.tensor_shapes[n] for a, n in vertex.tensors.items()}
    if not shapes:
        return None
    if rule.acts_on == "numbers":
        return broadcast(vertex, (), shapes)
    if rule.axes is None or not shapes.keys() <= set(rule.arguments):
        return None
    if isinstance(rule.axes, str):
        ranks = tuple((argument, len(shape)) for argument, shape in shapes.items())
        return axis_names(rule.axes, rule.arguments, (), ranks, len(vertex.shape))
    names = rule.axes(vertex, (), shapes)
    return None if isinstance(names, str) or names.ties else names


def silencers(trace: TraceGraph, name: str, dim: int | None = None) -> frozenset[str] | None:
    """Return stored tensors that make a value zero where they are zero; `None` if none do.

    Args:
        trace: The graph.
        name: Of a parameter, a buffer or a computed value.
        dim: Axis of the value: its entries at an index are zero where the rows of these tensors are, of which
            each index along the axis has its own. By default, all of it is zero where all of them are.
    """
    if name not in trace.computed:
        return frozenset([name])
    vertex = trace.computed[name]
    if is_undefined_at_zero(trace, name):
        return None
    move = computed_move(trace, vertex) if dim is not None else None
    if move is not None:
        before = None if isinstance(move, str) else _axis_before(trace, vertex, move, dim or 0)
        kept = before is not None and vertex.keeps_zero
        return silencers(trace, vertex.inputs[0], before[0]) if kept and before else None
    names = computed_names(trace, vertex) if dim is not None else None
    axis = names.result[dim] if names and dim is not None else ""
    if dim is not None and (not axis or axis[0].isupper()):
        return None

    def factor(argument: str) -> frozenset[str] | None:
        operand = vertex.tensors[argument]
        if names is None or dim is None:
            return silencers(trace, operand)
        own = names.tensors[argument]
        if axis not in own or trace.tensor_shapes[operand][own.index(axis)] != vertex.shape[dim]:
            return None  # one entry for all indices along the axis
        return silencers(trace, operand, own.index(axis))

    parts: list[frozenset[str] | None] = []
    formula = zero_formula(vertex.rule, vertex.tensors)
    if formula is None or formula in (INPUTS, MEASURED):
        parts = [factor(argument) if vertex.keeps_zero else None for argument in vertex.tensors]
    else:
        for term in terms(formula):
            factors = [factor(argument) for argument in term if argument in vertex.tensors]
            known = [found for found in factors if found is not None]
            if known:
                parts.append(min(reversed(known), key=lambda f: not f <= trace.parameter_shapes.keys()))
            elif factors or len(term) > 1 or vertex.attributes.get(term[0]) is not None:
                parts.append(None)  # an optional argument that is left out adds nothing
    found = [part for part in parts if part is not None]
    return frozenset().union(*found) if parts and len(found) == len(parts) else None


def is_undefined_at_zero(trace: TraceGraph, name: str) -> bool:
    """Return whether a value is not finite where what it is computed from is zero."""
    return name in trace.computed and bool(trace.computed[name].attributes.get("undefined_at_zero"))


def zero_formula(
    rule: OperatorRule, tensors: Mapping[str, str], operands: tuple[str, ...] = ()
) -> str | None:
    """Return when the result of a call is zero, from its tensors and other operands by argument."""
    formula = rule.zero
    if callable(formula):
        given = dict.fromkeys(rule.arguments) | dict(tensors)
        formula = formula(given | {"tensors": (*operands, *tensors)})
    return formula


def _before(trace: TraceGraph, vertex: Vertex, move: Move, dim: int) -> tuple[Source, ...] | None:
    """Return the sources of an axis behind a move."""
    before = _axis_before(trace, vertex, move, dim)
    inner = sources(trace, vertex.inputs[0], before[0]) if before else None
    return None if inner is None or before is None else tuple(_composed(s, before[1]) for s in inner)


def _axis_before(
    trace: TraceGraph, vertex: Vertex, move: Move, dim: int
) -> tuple[int, tuple[int, ...] | None] | None:
    """Return the axis of the operand of a move that becomes `dim`, and where its indices go."""
    shape = trace.tensor_shapes[vertex.inputs[0]]
    for axis, size in enumerate(shape):
        maps = move.maps(axis, shape) if size > 1 or vertex.shape[dim] == 1 else ()
        for found in () if isinstance(maps, str) else maps:
            if found.axis == dim and (lines := _inverse(found, size)) is not None:
                return axis, lines[0]
    return None


def _inverse(found: AxisMap, size: int) -> tuple[tuple[int, ...] | None] | None:
    """Return for each index before a move the one after it; `None` if it has several."""
    if found.sources is None:
        return (None,)
    line = [-1] * size
    for index, places in enumerate(found.sources):
        for place in places:
            if line[place] != -1:
                return None
            line[place] = index
    return (tuple(line),)


def _composed(source: Source, outer: tuple[int, ...] | None) -> Source:
    if outer is None:
        return source
    line = outer if source.line is None else tuple(outer[i] if i >= 0 else -1 for i in source.line)
    return replace(source, line=line)
