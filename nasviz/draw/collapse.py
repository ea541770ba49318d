"""Visible vertices of a trace graph when some modules are open and all others are closed.

A closed module contracts the vertices of each of its calls. A call is a contiguous range of the trace order,
and contracting contiguous ranges of a topological order cannot create a cycle, so the drawing remains a DAG.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["Call", "calls", "opening"]


@dataclass(slots=True)
class Call:
    """One call of a module, with all vertices inside, including those of inner modules."""

    path: str
    number: int
    """Index of the call among those of the module."""
    outer: Call | None
    vertices: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Path of the module, with the number of the call appended from the second call on."""
        return f"{self.path}#{self.number + 1}" if self.number else self.path


def calls(trace: TraceGraph) -> dict[str, tuple[Call, ...]]:
    """Return the calls around each vertex, outermost first, without calls of a single vertex.

    Examples:
        >>> from nasviz.graph.trace_graph import Input
        >>> inner = [Vertex(i, i, "relu", (s,), scope=("m",)) for i, s in (("a", "x"), ("b", "a"))]
        >>> [call.key for call in calls(TraceGraph("t", (Input("x"),), tuple(inner), ()))["a"]]
        ['m']
    """
    numbers: dict[str, int] = {}
    around: dict[str, list[Call]] = {}
    before: list[Call] = []
    for vertex in trace:
        stack: list[Call] = []
        for depth, path in enumerate(_scope(vertex)):
            if depth < len(before) and before[depth].path == path and before[:depth] == stack:
                call = before[depth]
            else:
                number = numbers.get(path, 0)
                numbers[path] = number + 1
                call = Call(path, number, stack[-1] if stack else None)
            call.vertices.append(vertex.id)
            stack.append(call)
        around[vertex.id] = before = stack
    return {vertex: tuple(c for c in stack if len(c.vertices) > 1) for vertex, stack in around.items()}


def _scope(vertex: Vertex) -> Sequence[str]:
    """Return the distinct paths of the modules around a vertex, without the root."""
    return tuple(dict.fromkeys(path for path in vertex.scope if path))


def opening(trace: TraceGraph, budget: int = 48) -> frozenset[str]:
    """Return the modules to open initially: whole levels, as long as at most `budget` vertices are visible.

    A single module around everything is always opened, because one box is not informative.
    """
    around = calls(trace)
    opened: frozenset[str] = frozenset()
    while True:
        closed = {call.path for call in outermost_closed(around, opened).values() if call is not None}
        if not closed:
            return opened
        wider = opened | closed
        if num_visible(around, wider) > budget and num_visible(around, opened) > 1:
            return opened
        opened = wider


def outermost_closed(
    around: Mapping[str, tuple[Call, ...]], opened: Collection[str]
) -> dict[str, Call | None]:
    """Return the outermost closed call around each vertex, or None if the vertex itself is visible."""
    return {v: next((c for c in stack if c.path not in opened), None) for v, stack in around.items()}


def num_visible(around: Mapping[str, tuple[Call, ...]], opened: Collection[str]) -> int:
    """Return the number of visible vertices when the modules `opened` are open."""
    shown = outermost_closed(around, opened)
    closed = {call.key for call in shown.values() if call is not None}
    return len(closed) + sum(1 for call in shown.values() if call is None)
