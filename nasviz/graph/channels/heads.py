"""Heads of attention: axes along which products of two values are taken one by one."""

from __future__ import annotations

from collections.abc import Mapping

from nasviz.graph.operators.moves import Reshaped
from nasviz.graph.operators.rules import Role
from nasviz.graph.operators.zeros import bind, maps_of, move_of
from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["head_axes"]


def head_axes(trace: TraceGraph) -> dict[str, frozenset[int]]:
    """Return for each value its axes that hold the heads of a later attention; costs O(V + E).

    An axis holds heads if a product that sums over other axes keeps it, in both operands alike. Those axes
    are followed backwards up to the linear maps that make them.
    """
    found: dict[str, set[int]] = {}
    for vertex in reversed(trace.vertices):
        own = found.get(vertex.id, set())
        for place, source in enumerate(vertex.inputs):
            mine = _batched(vertex, place, trace) | _before(vertex, source, own, trace)
            if mine:
                found.setdefault(source, set()).update(mine)
    return {vertex: frozenset(axes) for vertex, axes in found.items()}


def _batched(vertex: Vertex, place: int, trace: TraceGraph) -> set[int]:
    """Return the axes of an operand that a product of several values keeps."""
    if vertex.role is not Role.MULTIPLICATIVE or vertex.rule.acts_on:
        return set()
    bound = bind(vertex, trace)
    if isinstance(bound, str):
        return set()
    operands = bound.names.operands
    kept = {
        name
        for name in operands[0]
        if name and all(name in o or _tied(bound.names.ties, o) for o in operands)
    }
    kept = (kept & set(bound.names.result)) | set(bound.names.ties)
    return {axis for axis, name in enumerate(operands[place]) if name in kept}


def _tied(ties: Mapping[str, object], names: tuple[str, ...]) -> bool:
    return not ties.keys().isdisjoint(names)


def _before(vertex: Vertex, source: str, axes: set[int], trace: TraceGraph) -> set[int]:
    """Return the axes of an operand that go on as some axes of the result."""
    shape = trace.shapes[source]
    if not axes or vertex.role is Role.STEM:
        return set()
    if not vertex.is_joint and (move := move_of(vertex, trace)) is not None:
        if isinstance(move, str):
            return set()
        period = move.period_before(shape) if isinstance(move, Reshaped) else 1
        maps = ((axis, maps_of(move, axis, shape, period)) for axis, size in enumerate(shape) if size != 1)
        return {
            axis
            for axis, found in maps
            if not isinstance(found, str) and any(m.axis in axes and _is_split(m.sources) for m in found)
        }
    shift = len(vertex.shape) - len(shape)
    return {a - shift for a in axes if a >= shift and shape[a - shift] == vertex.shape[a]}


def _is_split(sources: tuple[tuple[int, ...], ...] | None) -> bool:
    """Return whether some indices along an axis come from different ones."""
    return sources is None or any(own != sources[0] for own in sources)
