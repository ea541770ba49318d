"""Cells as the papers draw them: numbered states, and operations on the edges between them.

A node of a cell is a sum of operations (DARTS, section 2.1); what a search weighs or erases lies on its
edges. Both are read off a search space, so any network of modules that are cells has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nasviz.graph.operators.rules import Role
from nasviz.graph.segments.blocks import modules_like
from nasviz.graph.space import SearchSpace
from nasviz.graph.structures.addition_chains import sums
from nasviz.graph.structures.switches import Branch, find_branches, is_switch
from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["IDENTITY", "CellEdge", "CellGraph", "cell_graphs", "cells_by_type"]

IDENTITY = "skip_connect"
"""Name of an edge on which nothing is computed, whatever the network calls it."""


@dataclass(frozen=True, slots=True)
class CellEdge:
    """One operation of a cell."""

    source: int
    """The state that it reads: inputs of the cell count first, then its nodes."""
    node: int
    """The node that sums it; counted from 0."""
    operation: str
    vertex: str
    """The vertex that it ends with, its switch where it has one."""
    structure: int | None
    """Id of the segment that it ends, which scores and fates are known by; None for a bare identity."""


@dataclass(frozen=True, slots=True)
class CellGraph:
    """One cell of a network."""

    path: str
    kind: str
    """Class of its module."""
    type: str
    """`normal` or `reduce` with two inputs, as in DARTS; `recurrent` for cells so called, else `cell`."""
    num_inputs: int
    num_nodes: int
    edges: tuple[CellEdge, ...]
    """In the order in which the network runs them."""
    outputs: tuple[int, ...]
    """Nodes that more reads than operations of the cell: all of a DARTS cell, the last of NAS-Bench-201."""

    @property
    def layout(self) -> tuple[object, ...]:
        """Equal for cells that a search may share between."""
        edges = tuple((edge.source, edge.node, edge.operation) for edge in self.edges)
        return (self.type, self.num_inputs, self.num_nodes, self.outputs, edges)

    def state(self, number: int) -> str:
        """What the papers call a state: c_{k-2} and c_{k-1}, or x; then the nodes by their numbers."""
        if number >= self.num_inputs:
            return str(number - self.num_inputs)
        return f"c_{{k-{self.num_inputs - number}}}" if self.num_inputs > 1 else "x"


def cell_graphs(space: SearchSpace, cells: Iterable[str] = ()) -> tuple[CellGraph, ...]:
    """The cells of a network, in the order in which it runs them; O(V + E) in all.

    Args:
        space: With or without switches.
        cells: Classes of the cells, or patterns of their paths; all whose class is called `...Cell` when left
            out. What sums nothing is left out.

    Raises:
        UnknownVertexError: A name matches no module.
    """
    trace = space.trace
    wishes = tuple(cells) or tuple(sorted({c for c in trace.modules.values() if c.endswith("Cell")}))
    paths = modules_like(trace, wishes, "draw")
    operands = _operands(trace, paths)
    exits = [v for found in operands.values() for ends in found.values() for v in ends]
    nodes = {node for found in operands.values() for node in found}
    exits = [v for v in dict.fromkeys(exits) if v in trace and v not in nodes]
    branches = {branch.vertex: branch for branch in find_branches(space.segments, exits)}
    inside: dict[str, list[Vertex]] = {path: [] for path in operands}
    for vertex in trace:
        for path in vertex.scope:
            if path in inside:
                inside[path].append(vertex)
    return tuple(_cell(trace, path, found, branches, inside[path]) for path, found in operands.items())


def cells_by_type(cells: Sequence[CellGraph]) -> dict[str, tuple[CellGraph, ...]]:
    """Cells that are laid out alike, by their type; numbered where one type has several layouts."""
    alike: dict[tuple[object, ...], list[CellGraph]] = {}
    for cell in cells:
        alike.setdefault(cell.layout, []).append(cell)
    found: dict[str, tuple[CellGraph, ...]] = {}
    for members in alike.values():
        name, number = members[0].type, 2
        while name in found:
            name, number = f"{members[0].type} {number}", number + 1
        found[name] = tuple(members)
    return found


def _operands(trace: TraceGraph, paths: set[str]) -> dict[str, dict[str, list[str]]]:
    """For each cell its nodes, by the last addition of their sums, with what they add up."""
    last = sums(trace)
    found: dict[str, dict[str, list[str]]] = {}
    for vertex in trace:
        if vertex.id not in last:
            continue
        node = last[vertex.id]
        around = {p for p in (*trace[node].scope, trace[node].module) if p in paths}
        cell = next((p for p in vertex.scope if p in around), None)
        if cell is not None and len(vertex.inputs) > 1:
            ends = found.setdefault(cell, {}).setdefault(node, [])
            ends += [source for source in vertex.inputs if last.get(source) != node]
    return found


def _cell(
    trace: TraceGraph,
    path: str,
    operands: Mapping[str, list[str]],
    branches: Mapping[str, Branch],
    inside: Sequence[Vertex],
) -> CellGraph:
    nodes = {node: number for number, node in enumerate(operands)}
    additions = {p for v in inside if v.role is Role.ADDITIVE for p in v.scope}
    reads: list[tuple[str, str, str, int | None]] = []
    for node, ends in operands.items():
        for end in ends:
            branch = branches.get(end)
            is_state = branch is None or (not is_switch(trace[end]) and len(trace.consumers[end]) > 1)
            if is_state or branch is None:
                reads.append((end, node, end, None))
            else:
                reads.append((branch.origin, node, end, branch.structure))
    origins = {origin: _node_before(trace, origin, nodes) for origin, *_ in reads}
    inputs = [origin for origin, node in origins.items() if node is None]
    numbers = {node: len(inputs) + number for node, number in nodes.items()}
    numbers |= {origin: numbers[node] for origin, node in origins.items() if node is not None}
    numbers |= {origin: number for number, origin in enumerate(inputs)}
    edges = tuple(
        CellEdge(numbers[origin], nodes[node], _operation(trace, origin, end, additions), end, structure)
        for origin, node, end, structure in reads
    )
    walked = {v for e in edges for v in _walk(trace, e.vertex, set(numbers))}
    own = walked | {v.id for v in inside if v.role is Role.ADDITIVE}
    outputs = tuple(n for node, n in nodes.items() if any(r not in own for r in trace.consumers[node]))
    kind = trace.modules.get(path, "")
    type_of = "cell"
    if "Recurrent" in kind:
        type_of = "recurrent"
    elif len(inputs) == 2:
        type_of = "reduce" if any(_stride(trace[v]) == 2 for v in walked) else "normal"
    return CellGraph(path, kind, type_of, len(inputs), len(nodes), edges, outputs)


def _node_before(trace: TraceGraph, origin: str, nodes: Mapping[str, int]) -> str | None:
    """The node that a value is, or that it is a norm or the like of; None for an input of the cell."""
    while origin in trace and origin not in nodes and len(trace[origin].inputs) == 1:
        origin = trace[origin].inputs[0]
    return origin if origin in nodes else None


def _walk(trace: TraceGraph, vertex: str, states: set[str]) -> list[str]:
    """From the end of an operation back to the state that it reads, along first operands."""
    walked = []
    while vertex in trace and vertex not in states:
        walked.append(vertex)
        if not trace[vertex].inputs:
            break
        vertex = trace[vertex].inputs[0]
    return walked


def _operation(trace: TraceGraph, origin: str, end: str, additions: set[str]) -> str:
    """The module that an operation is, by the last part of its path; by its class where this is a number."""
    if end == origin:
        return IDENTITY
    vertex = trace[end]
    while is_switch(vertex):
        if vertex.inputs[0] == origin or vertex.inputs[0] not in trace:
            return IDENTITY
        vertex = trace[vertex.inputs[0]]
    own = vertex.module or (vertex.name if vertex.name in trace.modules else "")
    path = next((p for p in (*vertex.scope, own) if p and p not in additions), "")
    name = path.rpartition(".")[2]
    return (trace.modules.get(path) if name.isdecimal() else name) or vertex.operator


def _stride(vertex: Vertex) -> int:
    stride = vertex.attributes.get("stride")
    numbers = stride if isinstance(stride, tuple) else (stride,)
    return max((n for n in numbers if isinstance(n, int)), default=1)
