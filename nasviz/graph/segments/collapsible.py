"""Which classes of modules could be collapsed: what a person is offered before choosing (see `blocks`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["Collapsible", "collapsible"]


@dataclass(frozen=True, slots=True)
class Collapsible:
    """Modules of one class, each of which could count as one vertex."""

    name: str
    """The class. Text from a model, untrusted."""
    paths: tuple[str, ...]
    """The modules, outermost ones only."""
    reason: str | None
    """Why they cannot be collapsed after all, in words; `None` where they can."""


def collapsible(trace: TraceGraph) -> tuple[Collapsible, ...]:
    """Classes with a module of two vertices or more, in the order in which they are called.

    Costs O((V + E) x depth of the modules).

    Examples:
        >>> from nasviz.graph.trace_graph import Input, Output, Vertex
        >>> inside = {"scope": ("block",)}
        >>> run = (Vertex("a", "a", "conv2d", ("x",), **inside), Vertex("b", "b", "relu", ("a",), **inside))
        >>> modules = {"": "Net", "block": "Block"}
        >>> trace = TraceGraph("net", (Input("x"),), run, (Output("y", "b"),), modules=modules)
        >>> [(c.name, c.paths, c.reason) for c in collapsible(trace)]
        [('Block', ('block',), None)]
    """
    homes = {vertex.id: dict(_outermost(trace, vertex)) for vertex in trace}
    sizes: dict[str, int] = defaultdict(int)
    exits: dict[str, int] = defaultdict(int)
    classes: dict[str, dict[str, None]] = defaultdict(dict)
    for vertex in trace:
        readers = [homes.get(reader, {}) for reader in trace.consumers[vertex.id]]
        for path, kind in homes[vertex.id].items():
            classes[kind][path] = None
            sizes[path] += 1
            exits[path] += not readers or any(path not in reader for reader in readers)
    return tuple(
        Collapsible(kind, tuple(paths), _reason(paths, exits))
        for kind, paths in classes.items()
        if any(sizes[path] > 1 for path in paths)
    )


def _outermost(trace: TraceGraph, vertex: Vertex) -> Iterator[tuple[str, str]]:
    """For each class around a vertex its outermost module there: path and class."""
    seen = set()
    for path in (*vertex.scope, vertex.module):
        kind = trace.modules.get(path, "") if path else ""
        if kind and kind not in seen:
            seen.add(kind)
            yield path, kind


def _reason(paths: dict[str, None], exits: dict[str, int]) -> str | None:
    """Why one of these modules cannot be one vertex."""
    return next(
        (f"{exits[path]} values of {path} are read outside it" for path in paths if exits[path] != 1), None
    )
