"""Switches: multiplications by a parameter, each of which can silence one operation.

A supernet weighs its candidate operations with architecture variables (DARTS, SparseNAS), or scales those
that have no variables of their own (GSparsity, section 3.1). A switch belongs to a node: a chain of additions
that only the chain itself reads counts as one node, since a node of a cell is the sum of many operands
(DARTS, equation 1), but a network adds two at a time. Operations at the same place in cells of one type can
be tied (GSparsity, figure 1).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from nasviz.graph.operators.rules import Role
from nasviz.graph.segments import SegmentGraph, modules_like
from nasviz.graph.trace_graph import TraceGraph, Vertex, is_switch

__all__ = [
    "Branch",
    "Paths",
    "Switch",
    "by_edge",
    "by_node",
    "count_paths",
    "find_branches",
    "find_switches",
    "strongest",
    "sums",
    "tie",
]


def sums(trace: TraceGraph) -> dict[str, str]:
    """Return for each addition of a sum: the last one, which holds all of it; O(V).

    Examples:
        >>> from nasviz.graph.trace_graph import Input, Output, Vertex
        >>> first = Vertex("add", "add", "add", ("x", "y"), (-1, 4))
        >>> last = Vertex("add_1", "add_1", "add", ("add", "z"), (-1, 4))
        >>> inputs = tuple(Input(name, (-1, 4)) for name in "xyz")
        >>> sums(TraceGraph("three", inputs, (first, last), (Output("out", "add_1"),)))
        {'add_1': 'add_1', 'add': 'add_1'}
    """
    last: dict[str, str] = {}
    for vertex in reversed(trace.vertices):
        if vertex.role is not Role.ADDITIVE:
            continue
        readers = trace.consumers[vertex.id]
        is_inner = len(readers) == 1 and readers[0] in last and trace[readers[0]].shape == vertex.shape
        last[vertex.id] = last[readers[0]] if is_inner else vertex.id
    return last


Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Branch:
    """One operation between two values of a cell."""

    vertex: str
    """The vertex that it ends with."""
    structure: int
    """The segment that this belongs to."""
    nodes: tuple[str, ...]
    """The sums, by their last addition, and concatenations that it feeds."""
    origin: str
    """Where it begins: the value that the operation is applied to."""

    @property
    def edge(self) -> tuple[str, str]:
        """Origin and first node: the candidates of one edge of a cell share it."""
        return self.origin, self.nodes[0] if self.nodes else self.vertex


@dataclass(frozen=True, slots=True)
class Switch(Branch):
    """A branch with one factor on its value, the multiplication that it ends with."""

    name: str
    """The operation, as people read it."""
    source: str
    """The vertex or input whose value is scaled."""
    parameter: str
    """What the factor is made of; tied switches have the same one."""
    index: int | None
    """Its place in the softmax of that parameter; `None` where the parameter is the factor."""


def find_branches(segments: SegmentGraph, exits: Iterable[str]) -> tuple[Branch, ...]:
    """The branches that end with these vertices, in this order; O(V + E) where none lies in another.

    A branch reaches back to all that only it needs, but not past the nodes that such branches end in.
    """
    trace, found = segments.trace, tuple(exits)
    last = sums(trace)
    nodes = {v: tuple(dict.fromkeys(last.get(j, j) for j in _joints(trace, v))) for v in found}
    ends = {node for reached in nodes.values() for node in reached}
    return tuple(Branch(v, segments.of(v).id, nodes[v], _origin(trace, trace[v], ends)) for v in found)


def find_switches(segments: SegmentGraph) -> tuple[Switch, ...]:
    """All switches of a network, in the order in which it runs them."""
    trace = segments.trace
    branches = find_branches(segments, [vertex.id for vertex in trace if is_switch(vertex)])
    return tuple(_switch(segments, branch) for branch in branches)


def _switch(segments: SegmentGraph, branch: Branch) -> Switch:
    vertex = segments.trace[branch.vertex]
    index = vertex.attributes.get("index")
    return Switch(
        vertex=branch.vertex,
        structure=branch.structure,
        nodes=branch.nodes,
        origin=branch.origin,
        name=_name(segments, vertex, branch.nodes),
        source=vertex.inputs[0],
        parameter=vertex.parameters[0],
        index=index if isinstance(index, int) else None,
    )


def by_node(switches: Iterable[Switch]) -> dict[str, tuple[Switch, ...]]:
    """The switches of each node: its incoming operations (the groups of SparseNAS, section 3)."""
    return _grouped(switches, lambda switch: switch.edge[1])


def by_edge(switches: Iterable[Switch]) -> dict[tuple[str, str], tuple[Switch, ...]]:
    """The switches of each edge: the candidates that DARTS chooses one of."""
    return _grouped(switches, lambda switch: switch.edge)


def _grouped(switches: Iterable[Switch], key: Callable[[Switch], Key]) -> dict[Key, tuple[Switch, ...]]:
    found: dict[Key, list[Switch]] = {}
    for switch in switches:
        found.setdefault(key(switch), []).append(switch)
    return {place: tuple(members) for place, members in found.items()}


def _joints(trace: TraceGraph, vertex_id: str) -> list[str]:
    return [r for r in trace.consumers[vertex_id] if r in trace and trace[r].is_joint]


def _name(segments: SegmentGraph, vertex: Vertex, nodes: tuple[str, ...]) -> str:
    """That of its segment without it, or of the edge that it stands on."""
    trace, s, source = segments.trace, segments.of(vertex.id), vertex.inputs[0]
    if len(s.vertices) > 1 and s.vertices[-1] == vertex.id:
        return s.name.rpartition("-")[0]
    begin = trace[source].name if source in trace else source
    is_edge = source not in trace or len(trace.consumers[source]) > 1
    return f"identity {begin} → {', '.join(trace[node].name for node in nodes)}" if is_edge else begin


def _origin(trace: TraceGraph, last: Vertex, ends: Collection[str]) -> str:
    """The one value from outside that a branch reads; what its last vertex reads where there are several."""
    branch, outside = {last.id}, dict.fromkeys(last.inputs)
    waiting = deque(last.inputs)
    while waiting:
        vertex_id = waiting.popleft()
        is_wanted = vertex_id in trace and vertex_id not in branch and vertex_id not in ends
        if is_wanted and branch.issuperset(trace.consumers[vertex_id]):
            branch.add(vertex_id)
            outside |= dict.fromkeys(trace[vertex_id].inputs)
            waiting.extend(trace[vertex_id].inputs)
    origins = [value for value in outside if value not in branch]
    return origins[0] if len(origins) == 1 else last.inputs[0]


_GEOMETRY = ("kernel_size", "stride", "dilation")
"""Attributes that tell one operation of a cell from another; widths differ between cells of one type."""


def tie(segments: SegmentGraph, branches: Sequence[Branch], cells: Iterable[str]) -> dict[str, str]:
    """Return for each branch the first one at its place, by their vertices; itself where it is tied to none.

    Args:
        segments: Of the network.
        branches: Those that may be tied, in order; switches, say.
        cells: Classes of the cells, or patterns of their paths; the outermost match counts.

    Raises:
        UnknownVertexError: A name matches no module.
    """
    trace = segments.trace
    paths = modules_like(trace, tuple(cells), "tie")
    members: dict[str, list[Branch]] = {}
    for branch in branches:
        place = trace[branch.edge[1]].scope
        if cell := next((path for path in place if path in paths), None):
            members.setdefault(cell, []).append(branch)
    first = {branch.vertex: branch.vertex for branch in branches}
    layouts: dict[tuple[object, ...], list[Branch]] = {}
    for inside in members.values():
        model = layouts.setdefault(_layout(segments, inside), inside)
        first |= {branch.vertex: twin.vertex for branch, twin in zip(inside, model, strict=True)}
    return first


def _layout(segments: SegmentGraph, inside: Sequence[Branch]) -> tuple[object, ...]:
    """Return what the operations of one cell are, and between which of its values."""
    origins = _numbers(branch.origin for branch in inside)
    nodes = _numbers(branch.edge[1] for branch in inside)
    return tuple(
        (origins[branch.origin], nodes[branch.edge[1]], _operation(segments, branch)) for branch in inside
    )


def _numbers(values: Iterable[str]) -> Mapping[str, int]:
    return {value: number for number, value in enumerate(dict.fromkeys(values))}


def _operation(segments: SegmentGraph, branch: Branch) -> tuple[object, ...]:
    trace = segments.trace
    run = [trace[v] for v in segments[branch.structure].vertices]
    return tuple((v.operator, *(str(v.attributes.get(name)) for name in _GEOMETRY)) for v in run)


@dataclass(frozen=True, slots=True)
class Paths:
    """Operations on the edges of a network with switches."""

    kind: str
    """`single-path`, `multi-path`, `mixed-path`; `no path` where nothing is left."""
    num_operations: int
    """That are left."""
    num_edges: int
    """That keep at least one operation."""
    least: int
    """Operations of such an edge."""
    most: int


def count_paths(switches: Iterable[Switch], alive: Collection[int]) -> Paths:
    """The paths that are left where these structures are alive; O(switches)."""
    numbers = [sum(s.structure in alive for s in members) for members in by_edge(switches).values()]
    kept = [number for number in numbers if number]
    if not kept:
        return Paths("no path", 0, 0, 0, 0)
    least, most = min(kept), max(kept)
    kind = "single-path" if most == 1 else "multi-path" if least == most else "mixed-path"
    return Paths(kind, sum(kept), len(kept), least, most)


def strongest(switches: Iterable[Switch], weights: Mapping[int, float]) -> frozenset[int]:
    """Of each edge the structure of the largest weight; edges none of whose weights is known have none."""
    found = set()
    for members in by_edge(switches).values():
        known = [s.structure for s in members if s.structure in weights]
        if known:
            found.add(max(known, key=lambda i: (weights[i], -i)))
    return frozenset(found)
