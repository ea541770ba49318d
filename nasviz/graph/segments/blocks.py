"""Collapse: a module treated as one vertex, so that one operation is one removal structure.

A DARTS operation or a FactorizedReduce is a small network of its own; grown operator by operator it falls
apart into several segments. Collapsed, its vertices form one block, as long as a single value leaves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from nasviz.errors import GraphError, UnknownVertexError
from nasviz.graph.trace_graph import TraceGraph

__all__ = ["Blocks", "blocks", "modules_like"]


@dataclass(frozen=True)
class Blocks:
    """A partition of a trace graph's vertices; each block is named by the one vertex that others read."""

    trace: TraceGraph
    members: Mapping[str, tuple[str, ...]]
    """For each block its vertices, in topological order, by the exit's id; blocks in order of their exits."""
    collapsed: Mapping[str, str]
    """For each block that stands for a module: the module's path."""

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    @cached_property
    def home(self) -> dict[str, str]:
        """The block of each vertex."""
        return {v: exit_id for exit_id, members in self.members.items() for v in members}

    @cached_property
    def operands(self) -> dict[str, tuple[str, ...]]:
        """For each block the blocks and virtual inputs that it reads from outside; a vertex repeats them."""
        found = {}
        for exit_id, members in self.members.items():
            if len(members) == 1:
                found[exit_id] = tuple(self.home.get(s, s) for s in self.trace[exit_id].inputs)
            else:
                inside = set(members)
                outside = (s for v in members for s in self.trace[v].inputs if s not in inside)
                found[exit_id] = tuple(dict.fromkeys(self.home.get(s, s) for s in outside))
        return found

    @cached_property
    def consumers(self) -> dict[str, tuple[str, ...]]:
        """For each block who reads its exit: blocks and virtual outputs, each once."""
        return {
            exit_id: tuple(
                dict.fromkeys(self.home.get(reader, reader) for reader in self.trace.consumers[exit_id])
            )
            for exit_id in self.members
        }

    def is_joint(self, block: str) -> bool:
        """Whether two or more values from outside meet in it."""
        return len(self.operands[block]) >= 2

    def name(self, block: str) -> str:
        """The module's path for a collapsed block, the vertex's name otherwise."""
        return self.collapsed.get(block, self.trace[block].name)


def blocks(trace: TraceGraph, collapse: Iterable[str] = ()) -> Blocks:
    """Partition the vertices: one block a vertex, or one a module that `collapse` names.

    Args:
        trace: The graph.
        collapse: Class names of modules, or patterns of their paths (`layer1.*`); the outermost match counts.

    Raises:
        UnknownVertexError: A name matches no module.
        GraphError: A module cannot be one vertex, because several of its values are read outside.
    """
    paths = modules_like(trace, tuple(collapse), "collapse")
    inside: dict[str, list[str]] = {}
    for vertex in trace:
        around = next((p for p in (*vertex.scope, vertex.module) if p in paths), None)
        inside.setdefault(f"module {around}" if around else vertex.id, []).append(vertex.id)
    members, collapsed = {}, {}
    for key, vertices in inside.items():
        exit_id = _only_exit(trace, key, vertices) if key.startswith("module ") else vertices[0]
        members[exit_id] = tuple(vertices)
        if key.startswith("module "):
            collapsed[exit_id] = key.removeprefix("module ")
    order = {v.id: place for place, v in enumerate(trace)}
    return Blocks(trace, {e: members[e] for e in sorted(members, key=order.__getitem__)}, collapsed)


def modules_like(trace: TraceGraph, wishes: Iterable[str], verb: str) -> set[str]:
    """Paths of the modules that have one of these classes, or a path like one of these patterns.

    Raises:
        UnknownVertexError: A wish matches no module; the message says that it cannot `verb` it.
    """
    found: set[str] = set()
    for wish in wishes:
        hits = {p for p, kind in trace.modules.items() if p and (kind == wish or fnmatchcase(p, wish))}
        if not hits:
            raise UnknownVertexError(f"cannot {verb} {wish!r}: no module has this class, nor a path like it")
        found |= hits
    return found


def _only_exit(trace: TraceGraph, key: str, vertices: list[str]) -> str:
    inside = set(vertices)
    exits = [v for v in vertices if not inside.issuperset(trace.consumers[v]) or not trace.consumers[v]]
    if len(exits) != 1:
        raise GraphError(f"{key} cannot be collapsed: {len(exits)} of its values are read outside it")
    return exits[0]
