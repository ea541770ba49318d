"""Segment graph of a network (ASGNAS, Algorithm 2, lines 2-10).

A segment is a maximal run of vertices that ends before a joint vertex or at a vertex with several outgoing
edges; a joint vertex is a segment of its own. Erasing a segment erases all its vertices.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Literal

import networkx as nx

from nasviz.errors import UnknownVertexError
from nasviz.graph.segments.blocks import Blocks, blocks
from nasviz.graph.trace_graph import TraceGraph

__all__ = ["GrowthStep", "Segment", "SegmentGraph", "growth", "segment"]


@dataclass(frozen=True, slots=True)
class Segment:
    """One run of vertices; ids count segments in the order in which Algorithm 2 finds them."""

    id: int
    name: str
    vertices: tuple[str, ...]
    """In topological order; the last one is what others read."""
    is_joint: bool
    parameters: tuple[str, ...]
    """Trainable parameters that its vertices read, each once."""
    num_parameters: int
    macs: int
    predecessors: tuple[int, ...]
    successors: tuple[int, ...]
    inputs: tuple[str, ...] = ()
    """Virtual inputs that it reads."""
    outputs: tuple[str, ...] = ()
    """Virtual outputs that it feeds."""

    @property
    def starts(self) -> bool:
        """Whether it reads an input of the network: such a segment is never orphaned."""
        return bool(self.inputs)


@dataclass(frozen=True)
class SegmentGraph:
    """All segments of a trace graph; `segments[i].id == i`."""

    trace: TraceGraph
    segments: tuple[Segment, ...]
    collapsed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For each module that counts as one vertex: its vertices, by the module's path."""

    def __len__(self) -> int:
        return len(self.segments)

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments)

    def __getitem__(self, segment_id: int) -> Segment:
        if not 0 <= segment_id < len(self.segments):
            raise UnknownVertexError(f"no segment {segment_id}: there are {len(self)}, counted from 0")
        return self.segments[segment_id]

    @cached_property
    def _home(self) -> dict[str, int]:
        return {vertex: s.id for s in self.segments for vertex in s.vertices}

    @cached_property
    def module_of(self) -> dict[str, str]:
        """For each vertex inside a module that counts as one: the module's path."""
        return {vertex: path for path, vertices in self.collapsed.items() for vertex in vertices}

    def of(self, vertex_id: str) -> Segment:
        """The segment that holds a vertex.

        Raises:
            UnknownVertexError: The trace graph has no such vertex.
        """
        return self.segments[self._home[self.trace[vertex_id].id]]

    @property
    def num_edges(self) -> int:
        """Edges between segments; virtual inputs and outputs not counted."""
        return sum(len(s.successors) for s in self.segments)

    def to_networkx(self) -> nx.DiGraph:
        """Segments (by id), virtual inputs and outputs (by name) as a `DiGraph`."""
        graph = nx.DiGraph(name=self.trace.name)
        graph.add_nodes_from((i.id, {"data": i, "kind": "input"}) for i in self.trace.inputs)
        graph.add_nodes_from((s.id, {"data": s, "kind": "segment"}) for s in self.segments)
        graph.add_nodes_from((o.id, {"data": o, "kind": "output"}) for o in self.trace.outputs)
        for s in self.segments:
            graph.add_edges_from((name, s.id) for name in s.inputs)
            graph.add_edges_from((s.id, successor) for successor in s.successors)
            graph.add_edges_from((s.id, name) for name in s.outputs)
        return graph


def segment(trace: TraceGraph, collapse: Iterable[str] = ()) -> SegmentGraph:
    """Grow the segments of a trace graph, breadth first from its inputs; O(V + E).

    Args:
        trace: The graph.
        collapse: Classes or path patterns of modules that count as one vertex (see `blocks`).

    Examples:
        >>> from nasviz.graph.trace_graph import Input, Output, Vertex
        >>> chain = (Vertex("a", "a", "conv2d", ("x",)), Vertex("b", "b", "relu", ("a",)))
        >>> trace = TraceGraph("chain", (Input("x"),), chain, (Output("y", "b"),))
        >>> [s.vertices for s in segment(trace)]
        [('a', 'b')]
    """
    units = blocks(trace, collapse)
    collapsed = {path: units.members[exit_id] for exit_id, path in units.collapsed.items()}
    return SegmentGraph(trace, _linked(units, list(grow(units))), collapsed)


@dataclass(frozen=True, slots=True)
class GrowthStep:
    """What Algorithm 2 does next: a vertex starts a segment, joins it, or ends it."""

    segment: int
    unit: str
    """Id of the vertex, or of the last vertex of a collapsed module."""
    event: Literal["starts", "joins", "ends"]
    reason: str = ""
    """Why the segment ends here."""
    run: tuple[str, ...] = ()
    """All members, once it ends."""


def grow(units: Blocks) -> Iterator[tuple[str, ...]]:
    """Yield the members of one segment after the other, in the order of Algorithm 2."""
    return (step.run for step in growth(units) if step.event == "ends")


def growth(units: Blocks) -> Iterator[GrowthStep]:
    """Yield every step of Algorithm 2, lines 2-10: what `segment` computes by, and what Learn shows."""
    virtual = {i.id for i in units.trace.inputs}
    queue: deque[str] = deque(unit for unit in units if virtual.intersection(units.operands[unit]))
    queued = set(queue)
    number = 0
    while queue:
        run = [queue.popleft()]
        yield GrowthStep(number, run[-1], "starts")
        while (reason := _end(units, run[-1])) is None:
            run.append(units.consumers[run[-1]][0])
            yield GrowthStep(number, run[-1], "joins")
        queued.update(run)
        yield GrowthStep(number, run[-1], "ends", reason, tuple(run))
        number += 1
        for consumer in units.consumers[run[-1]]:
            if consumer in units.members and consumer not in queued:
                queued.add(consumer)
                queue.append(consumer)


def _end(units: Blocks, unit: str) -> str | None:
    """Why a segment ends with this vertex; None where its only reader continues it."""
    consumers = units.consumers[unit]
    if units.is_joint(unit):
        return "it is a joint, and a joint stands alone"
    if len(consumers) != 1:
        return f"{len(consumers)} vertices read it" if consumers else "nothing reads it"
    if consumers[0] not in units.members:
        return "it is an output of the network"
    if units.is_joint(consumers[0]):
        return "what reads it is a joint"
    return None


def _linked(units: Blocks, runs: list[tuple[str, ...]]) -> tuple[Segment, ...]:
    trace = units.trace
    home = {unit: index for index, run in enumerate(runs) for unit in run}
    virtual = {i.id for i in trace.inputs}
    successors: list[dict[int, None]] = [{} for _ in runs]
    predecessors: list[dict[int, None]] = [{} for _ in runs]
    for index, run in enumerate(runs):
        for consumer in units.consumers[run[-1]]:
            if consumer in home:
                successors[index][home[consumer]] = None
                predecessors[home[consumer]][index] = None
    segments = []
    for index, run in enumerate(runs):
        members = tuple(v for unit in run for v in units.members[unit])
        vertices = [trace[v] for v in members]
        parameters = tuple(dict.fromkeys(p for v in vertices for p in v.parameters))
        segments.append(
            Segment(
                id=index,
                name=_name([units.name(unit) for unit in run]),
                vertices=members,
                is_joint=units.is_joint(run[0]),
                parameters=parameters,
                num_parameters=sum(prod(trace.parameter_shapes[p]) for p in parameters),
                macs=sum(v.macs for v in vertices),
                predecessors=tuple(predecessors[index]),
                successors=tuple(successors[index]),
                inputs=tuple(dict.fromkeys(s for v in vertices for s in v.inputs if s in virtual)),
                outputs=tuple(c for c in units.consumers[run[-1]] if c not in home),
            )
        )
    return tuple(segments)


def _name(names: list[str]) -> str:
    """The members' names joined by hyphens behind the module path they share: `layer1.0.conv1-bn1-relu`."""
    paths = [name.split(".") for name in names]
    shared: list[str] = []
    for scope in zip(*(path[:-1] for path in paths), strict=False):
        if len(set(scope)) > 1:
            break
        shared.append(scope[0])
    leaves = [".".join(path[len(shared) :]) for path in paths]
    if len(leaves) > 6:
        leaves = [*leaves[:3], "…", *leaves[-2:]]
    return ".".join([*shared, "-".join(leaves)])
