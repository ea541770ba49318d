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
    Role,
    axis_names,
    broadcast,
    terms,
)

if TYPE_CHECKING:
    from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["Source", "computed_move", "computed_names", "silencers", "sources"]


@dataclass(frozen=True, slots=True)
class Source:
    """One dimension of a stored tensor that an axis of a value is made of."""

    tensor: str
    dim: int
    line: tuple[int, ...] | None = None
    """For each row of the tensor the index of the value that it belongs to, -1 for none; `None` if each row
    is the index itself."""

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
    if names is None or names.result[dim][:1].isupper():
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


def silencers(trace: TraceGraph, name: str) -> frozenset[str] | None:
    """Return stored tensors whose rows make a value zero where they are zero; `None` if none do."""
    if name not in trace.computed:
        return frozenset([name])
    vertex = trace.computed[name]
    formula = vertex.rule.zero
    if formula in (INPUTS, MEASURED) or not isinstance(formula, str):
        parts = [silencers(trace, operand) if vertex.keeps_zero else None for operand in vertex.inputs]
    else:
        parts = [part for term in terms(formula) for part in _term(trace, vertex, term)]
    known = [part for part in parts if part is not None]
    return frozenset().union(*known) if parts and len(known) == len(parts) else None


def _term(trace: TraceGraph, vertex: Vertex, term: tuple[str, ...]) -> list[frozenset[str] | None]:
    """Return what makes one term of a formula zero: a factor of parameters if there is one."""
    factors = [silencers(trace, vertex.tensors[factor]) for factor in term if factor in vertex.tensors]
    known = [factor for factor in factors if factor is not None]
    if known:
        return [min(reversed(known), key=lambda found: not found <= trace.parameter_shapes.keys())]
    # An optional argument that is left out adds nothing.
    return [None] if factors or len(term) > 1 or vertex.attributes.get(term[0]) is not None else []


def _before(trace: TraceGraph, vertex: Vertex, move: Move, dim: int) -> tuple[Source, ...] | None:
    """Return the sources of an axis behind a move."""
    operand = vertex.inputs[0]
    shape = trace.tensor_shapes[operand]
    for axis, size in enumerate(shape):
        maps = move.maps(axis, shape) if size > 1 or vertex.shape[dim] == 1 else ()
        for found in () if isinstance(maps, str) else maps:
            if found.axis != dim or (lines := _inverse(found, size)) is None:
                continue
            inner = sources(trace, operand, axis)
            return None if inner is None else tuple(_composed(s, lines[0]) for s in inner)
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
