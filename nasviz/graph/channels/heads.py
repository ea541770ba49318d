"""Axes that later operators take apart: heads of attention, and what convolutions read as channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nasviz.graph.operators.moves import Reshaped
from nasviz.graph.operators.rules import Role
from nasviz.graph.operators.zeros import bind, maps_of, move_of
from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["DIMENSIONS", "HEADS", "WHOLE", "axes_before", "convolved", "heads_in"]

WHOLE, DIMENSIONS = "whole", "dimensions"
HEADS = (WHOLE, DIMENSIONS)
"""What attention loses: whole heads where their number is free, or equal dimensions of all heads."""

Seed = Callable[[Vertex, int, TraceGraph], set[int]]
"""From a vertex and the place of an operand to the axes of that operand that are looked for."""


def axes_before(trace: TraceGraph, seed: Seed) -> dict[str, frozenset[int]]:
    """Return for each value its axes that go on as those of a seed; costs O(V + E).

    They are followed backwards up to the linear maps that make them.
    """
    found: dict[str, set[int]] = {}
    for vertex in reversed(trace.vertices):
        own = found.get(vertex.id, set())
        for place, source in enumerate(vertex.inputs):
            if mine := seed(vertex, place, trace) | _before(vertex, source, own, trace):
                found.setdefault(source, set()).update(mine)
    return {vertex: frozenset(axes) for vertex, axes in found.items()}


def convolved(vertex: Vertex, place: int, trace: TraceGraph) -> set[int]:
    """Return the axis that a convolution reads as channels."""
    return {1} if vertex.operator.startswith("conv") and vertex.role is Role.STEM else set()


def heads_in(vertex: Vertex, place: int, trace: TraceGraph) -> set[int]:
    """Return the axes of an operand that a product of several values keeps: heads of attention."""
    if vertex.role is not Role.MULTIPLICATIVE or vertex.rule.acts_on:
        return set()
    bound = bind(vertex, trace)
    if isinstance(bound, str):
        return set()
    operands, ties = bound.names.operands, bound.names.ties
    kept = {name for name in operands[0] if name and all(name in own or _tied(ties, own) for own in operands)}
    kept = (kept & set(bound.names.result)) | set(ties)
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
