"""Segments: vertices that are kept or removed together (ASGNAS, Algorithm 2, lines 2-10).

A segment is a maximal run of vertices that ends before a joint vertex or at a vertex with several outgoing
edges; a joint vertex is a segment of its own. Erasing a segment erases all its vertices. A module can be
collapsed into one vertex first (`blocks`), so that a DARTS operation, a small network of its own, is one
segment. `DependencyGraph` tells which vertices share their channels.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from math import prod
from typing import Literal

import networkx as nx

from nasviz.errors import GraphError, UnknownVertexError
from nasviz.graph.operators.rules import Role
from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = [
    "SOURCE",
    "Blocks",
    "Collapsible",
    "DependencyGraph",
    "GrowthStep",
    "Segment",
    "SegmentGraph",
    "blocks",
    "collapsible",
    "growth",
    "modules_like",
    "segment",
]

SOURCE = -1
"""Stands before every segment that reads an input."""


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
        """Return whether two or more values from outside meet in it."""
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

    def __repr__(self) -> str:
        return f"SegmentGraph({self.trace.name}: {len(self)} segments)"

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

    @cached_property
    def dominators(self) -> dict[int, int]:
        """For each segment the last other one that every path from an input to it passes, or `SOURCE`.

        Segments that no input reaches are left out.
        """
        graph = nx.DiGraph((SOURCE, s.id) for s in self.segments if s.starts)
        graph.add_node(SOURCE)
        graph.add_edges_from((s.id, follower) for s in self.segments for follower in s.successors)
        found = nx.immediate_dominators(graph, SOURCE)
        return {s: SOURCE if before is None else before for s, before in found.items()}

    @cached_property
    def annihilators(self) -> Mapping[int, frozenset[int]]:
        """For each product the predecessors of which one alone, at zero, makes it zero."""
        found = {}
        for s in self.segments:
            vertex = self.trace[s.vertices[0]]
            factors = vertex.annihilating_inputs if s.is_joint and len(s.vertices) == 1 else ()
            if killing := frozenset(self._home[source] for source in factors if source in self._home):
                found[s.id] = killing
        return found

    def vertices_of(self, ids: Iterable[int]) -> tuple[str, ...]:
        """Return the vertices of some segments."""
        return tuple(v for i in ids for v in self.segments[i].vertices)

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
    """Return why a segment ends with this vertex; None where its only reader continues it."""
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
    """Return for each class around a vertex its outermost module there: path and class."""
    seen = set()
    for path in (*vertex.scope, vertex.module):
        kind = trace.modules.get(path, "") if path else ""
        if kind and kind not in seen:
            seen.add(kind)
            yield path, kind


def _reason(paths: dict[str, None], exits: dict[str, int]) -> str | None:
    """Return why one of these modules cannot be one vertex."""
    return next(
        (f"{exits[path]} values of {path} are read outside it" for path in paths if exits[path] != 1), None
    )


_KINDS = {Role.STEM: "stem", Role.NORM: "accessory", Role.ACCESSORY: "accessory", Role.SHAPE: "accessory"}


@dataclass(frozen=True)
class DependencyGraph:
    """Kind of each vertex towards channels, and which vertices share theirs (OTOv3, section 3.1).

    A stem makes channels, an accessory keeps them, a joint meets the channels of others. Vertices whose
    channels are the same set, because an addition ties them together, form one channel group.
    """

    trace: TraceGraph

    def __repr__(self) -> str:
        return f"DependencyGraph({self.trace.name}: {len(self)} vertices)"

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
