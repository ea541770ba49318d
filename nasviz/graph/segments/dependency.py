"""Dependency graph: what each vertex is to channels, and which vertices share theirs (OTOv3, section 3.1).

A stem makes channels, an accessory keeps them, a joint meets the channels of others. Vertices whose channels
are the same set, because an addition ties them together, form one channel group.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import networkx as nx

from nasviz.graph.operators.rules import Role
from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["DependencyGraph"]

_KINDS = {Role.STEM: "stem", Role.NORM: "accessory", Role.ACCESSORY: "accessory", Role.SHAPE: "accessory"}


@dataclass(frozen=True)
class DependencyGraph:
    """A trace graph, read for its channels."""

    trace: TraceGraph

    def __len__(self) -> int:
        return len(self.trace)

    def kind(self, vertex_id: str) -> str:
        """One of `stem`, `joint`, `accessory`, `unknown`."""
        vertex = self.trace[vertex_id]
        return "joint" if vertex.is_joint else _KINDS.get(vertex.role, "unknown")

    @cached_property
    def channel_groups(self) -> dict[str, int]:
        """For each vertex the number of its channel group; groups are counted in topological order."""
        leader: dict[str, str] = {i.id: i.id for i in self.trace.inputs}

        def find(name: str) -> str:
            while leader[name] != name:
                leader[name] = name = leader[leader[name]]
            return name

        for vertex in self.trace:
            leader[vertex.id] = vertex.id
            for source in self._tied(vertex):
                leader[find(source)] = find(vertex.id)
        numbers: dict[str, int] = {}
        return {v.id: numbers.setdefault(find(v.id), len(numbers)) for v in self.trace}

    def _tied(self, vertex: Vertex) -> tuple[str, ...]:
        """Operands whose channels are the vertex's own."""
        if vertex.is_joint:
            return vertex.inputs if vertex.role in (Role.ADDITIVE, Role.MULTIPLICATIVE) else ()
        return () if vertex.role in (Role.STEM, Role.UNKNOWN) else vertex.inputs

    def to_networkx(self) -> nx.DiGraph:
        """The trace graph with `dependency` (the kind) and `channel_group` on each vertex."""
        graph = self.trace.to_networkx()
        for vertex in self.trace:
            graph.nodes[vertex.id].update(
                dependency=self.kind(vertex.id), channel_group=self.channel_groups[vertex.id]
            )
        return graph
