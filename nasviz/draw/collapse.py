"""Which vertices of a trace graph are seen when some modules are open and all others are closed.

A module is closed by contracting the vertices of one of its calls. The calls of a module are runs of the
trace order, and contracting runs of a topological order leaves no cycle: a closed drawing is a DAG too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["Call", "calls", "opening"]


@dataclass(slots=True)
class Call:
    """One call of a module: a run of vertices inside it, those of inner modules included."""

    path: str
    number: int
    """0 for the first call of the module, 1 for the second, ..."""
    outer: Call | None
    vertices: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The path, with the number of the call behind it from the second on."""
        return f"{self.path}#{self.number + 1}" if self.number else self.path


def calls(trace: TraceGraph) -> dict[str, tuple[Call, ...]]:
    """For each vertex: the calls around it, outermost first; those of a single vertex are left out.

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
    """Paths around a call, each once; the root has none."""
    return tuple(dict.fromkeys(path for path in vertex.scope if path))


def opening(trace: TraceGraph, budget: int = 48) -> frozenset[str]:
    """The modules to open at first: whole levels, as long as at most `budget` vertices are seen.

    A single module around everything is always opened: a drawing of one box tells nothing.
    """
    around = calls(trace)
    opened: frozenset[str] = frozenset()
    while True:
        closed = {call.path for call in seen(around, opened).values() if call is not None}
        if not closed:
            return opened
        wider = opened | closed
        if num_seen(around, wider) > budget and num_seen(around, opened) > 1:
            return opened
        opened = wider


def seen(around: Mapping[str, tuple[Call, ...]], opened: Collection[str]) -> dict[str, Call | None]:
    """For each vertex: the outermost closed call around it, or `None` where it is seen itself."""
    return {v: next((c for c in stack if c.path not in opened), None) for v, stack in around.items()}


def num_seen(around: Mapping[str, tuple[Call, ...]], opened: Collection[str]) -> int:
    """How many vertices a drawing has when these modules are open."""
    shown = seen(around, opened)
    closed = {call.key for call in shown.values() if call is not None}
    return len(closed) + sum(1 for call in shown.values() if call is None)
