"""Genotypes: which operations of a cell a search has chosen, as a graph, as text and as plain data.

The text is that of DARTS where every node keeps as many operations as the others, as its code expects, and
the string of NAS-Bench-201 for cells of its kind; a mixture of paths is a list for each node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nasviz.errors import InvalidSettingError
from nasviz.graph.operators.rules import Role
from nasviz.graph.segments import modules_like
from nasviz.graph.space import SearchSpace
from nasviz.graph.switches import Branch, Switch, by_node, find_branches, sums
from nasviz.graph.trace_graph import TraceGraph, Vertex, is_switch

if TYPE_CHECKING:
    from nasviz.graph.space import SearchSpace

__all__ = [
    "IDENTITY",
    "NONE",
    "CellEdge",
    "CellGraph",
    "ChosenCell",
    "Derivation",
    "alive",
    "cell_graphs",
    "cells_by_type",
    "derive",
    "erase_what_can",
    "genotype_json",
    "genotype_text",
    "shared_genotype",
    "strongest",
    "without",
]

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
        """Return what the papers call a state: c_{k-2} and c_{k-1}, or x; then the nodes by their numbers."""
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
    """Return for each cell its nodes, by the last addition of their sums, with what they add up."""
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


NONE = "none"
"""Name of the operation that DARTS never keeps."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """What is left of a search space."""

    kept: tuple[Switch, ...]
    """What was chosen."""
    erased: tuple[int, ...]
    """Ids of the structures that go."""
    spared: Mapping[int, str]
    """Structures that were not chosen and stay all the same, with the reason in words."""


def derive(
    space: SearchSpace,
    weights: Sequence[float],
    settled: SearchSpace,
    *,
    edges_per_node: int = 2,
    never: Collection[str] = (NONE,),
) -> Derivation:
    """Choose what stays.

    Structures go from the weakest on; one that cannot go any more without cutting the network apart stays.

    Args:
        space: A search space with switches.
        weights: What each switch is worth, in the order of `space.switches`; equal ones go by that order.
        settled: The same space after `settle_switches`, where each operation can go by itself.
        edges_per_node: How many softmaxes each node keeps an operation of; 0 for all.
        never: Operations that are not chosen: last components of the paths of modules, or names.

    Raises:
        InvalidSettingError: There is not one weight for each switch, or there are no switches.
    """
    switches = space.switches
    if len(weights) != len(switches) or not switches or edges_per_node < 0:
        raise InvalidSettingError(
            f"{len(weights)} weights for {len(switches)} switches, edges_per_node={edges_per_node}: give one"
            " weight for each switch, of which there must be one, and edges_per_node from 0 on"
        )
    value = {switch.vertex: float(weight) for switch, weight in zip(switches, weights, strict=True)}
    kept: list[Switch] = []
    for members in by_node(switches).values():
        softmaxes: dict[str, list[Switch]] = {}
        for switch in members:
            softmaxes.setdefault(_choice(switch), []).append(switch)
        best = [
            max(found, key=lambda s: value[s.vertex])
            for candidates in softmaxes.values()
            if (found := [s for s in candidates if not _is_called(space, s, never)])
        ]
        best.sort(key=lambda s: -value[s.vertex])
        kept += best[: edges_per_node or None]
    stays = {switch.vertex for switch in kept}
    order = {switch.vertex: place for place, switch in enumerate(switches)}
    kept.sort(key=lambda s: order[s.vertex])
    goes = sorted((s for s in switches if s.vertex not in stays), key=lambda s: value[s.vertex])
    erased, spared = erase_what_can(settled, goes)
    return Derivation(tuple(kept), erased, spared)


def _choice(switch: Switch) -> str:
    """Return what a switch competes in: its softmax at its edge; one without a softmax stands for itself."""
    return switch.vertex if switch.index is None else switch.parameter


def _is_called(space: SearchSpace, switch: Switch, names: Collection[str]) -> bool:
    if switch.name in names:
        return True
    if switch.source not in space.trace:
        return False
    source = space.trace[switch.source]
    return any(path.rpartition(".")[2] in names for path in (*source.scope, source.module))


def erase_what_can(space: SearchSpace, goes: Sequence[Switch]) -> tuple[tuple[int, ...], dict[int, str]]:
    """Ids of as many structures as can go together, in the order given, and why the others stay."""
    removable = {s.id for s in space.removable}
    reasons = {s.id: s.reason or "" for s in space.structures if not s.is_removable}
    ids = list(dict.fromkeys(switch.structure for switch in goes))
    spared = {i: reasons.get(i, "nothing can be erased here") for i in ids if i not in removable}
    wanted = [i for i in ids if i in removable]
    if space.is_valid(wanted):
        return tuple(sorted(wanted)), spared
    erased: list[int] = []
    for i in wanted:
        if space.is_valid([*erased, i]):
            erased.append(i)
        else:
            spared[i] = "without it an output would be cut off"
    return tuple(sorted(erased)), spared


@dataclass(frozen=True, slots=True)
class ChosenCell:
    """A cell with what is chosen in it."""

    name: str
    """Of its type: `normal`, `reduce`, ..."""
    cell: CellGraph
    kept: tuple[CellEdge, ...]
    weights: Mapping[int, float]
    """What the search gives structures, where it weighs them."""
    num_cells: int = 1
    """How many cells of the network are laid out like this one."""

    @property
    def incoming(self) -> tuple[tuple[CellEdge, ...], ...]:
        """What is kept, node by node."""
        nodes = range(self.cell.num_nodes)
        return tuple(tuple(edge for edge in self.kept if edge.node == node) for node in nodes)

    @property
    def paths(self) -> str:
        """`single-path`, `multi-path` or `mixed-path` (SparseNAS, figure 1); `empty` where nothing is kept.

        Single: one operation between two states, and as many edges into each node; multi: several, and
        everywhere as many; mixed: no such rule.
        """
        pairs = Counter((edge.source, edge.node) for edge in self.kept)
        fed = Counter(node for _, node in pairs)
        if not pairs:
            return "empty"
        is_full = all(count == self.cell.num_inputs + node for node, count in fed.items())
        is_rigid = len(fed) == self.cell.num_nodes and (len(set(fed.values())) == 1 or is_full)
        if not is_rigid or len(set(pairs.values())) > 1:
            return "mixed-path"
        return "single-path" if pairs.most_common(1)[0][1] == 1 else "multi-path"


def strongest(
    cell: CellGraph, weights: Mapping[int, float], *, edges_per_node: int = 2
) -> tuple[CellEdge, ...]:
    """The strongest operation of each pair of states but `none`, and of these the strongest for each node.

    Args:
        cell: Where every operation is weighed.
        weights: Of structures, by id.
        edges_per_node: 0 keeps all pairs (DARTS: 2).
    """
    kept: list[CellEdge] = []
    for node in range(cell.num_nodes):
        best: dict[int, CellEdge] = {}
        for edge in cell.edges:
            if edge.node == node and edge.operation != NONE:
                rival = best.get(edge.source)
                if rival is None or _weight(edge, weights) > _weight(rival, weights):
                    best[edge.source] = edge
        ranked = sorted(best.values(), key=lambda edge: -_weight(edge, weights))
        kept += sorted(ranked[: edges_per_node or None], key=lambda edge: edge.source)
    return tuple(kept)


def alive(cell: CellGraph, weights: Mapping[int, float], *, above: float = 0.0) -> tuple[CellEdge, ...]:
    """All operations but `none` whose weight is larger than `above` in size, or that are not weighed."""

    def is_alive(edge: CellEdge) -> bool:
        weight = None if edge.structure is None else weights.get(edge.structure)
        return weight is None or abs(weight) > above

    return tuple(edge for edge in cell.edges if edge.operation != NONE and is_alive(edge))


def without(cell: CellGraph, erased: Collection[int]) -> tuple[CellEdge, ...]:
    """All operations but `none` that are not erased."""
    gone = frozenset(erased)
    return tuple(e for e in cell.edges if e.operation != NONE and e.structure not in gone)


def genotype_text(cells: Sequence[ChosenCell]) -> str:
    """All cells in the form of their papers.

    Examples:
        >>> edges = (CellEdge(0, 0, "sep_conv_3x3", "a", 1), CellEdge(1, 0, "skip_connect", "b", 2))
        >>> cell = CellGraph("cells.0", "Cell", "normal", 2, 1, edges, (0,))
        >>> genotype_text([ChosenCell("normal", cell, edges, {})])
        "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1)], normal_concat=[2])"
    """
    own = [_nas_bench_201(cell) for cell in cells if cell.cell.type == "cell"]
    fields = [field for cell in cells if cell.cell.type != "cell" for field in _fields(cell)]
    return "\n".join([*([f"Genotype({', '.join(fields)})"] if fields else []), *own])


def shared_genotype(space: SearchSpace, erased: Collection[int]) -> str | None:
    """Return the genotype of what is left of a network.

    None where it has no cells, or those of one type have kept different operations.

    Args:
        space: Search space of the network.
        erased: Structures that are gone.
    """
    names = sorted({kind for kind in space.trace.modules.values() if kind.endswith("Cell")})
    if not names:
        return None
    chosen = []
    for name, cells in cells_by_type(cell_graphs(space, names)).items():
        kept = [without(cell, erased) for cell in cells]
        if len({tuple((e.source, e.node, e.operation) for e in edges) for edges in kept}) > 1:
            return None
        chosen.append(ChosenCell(name, cells[0], kept[0], {}, len(cells)))
    return genotype_text(chosen) if any(cell.kept for cell in chosen) else None


def genotype_json(cells: Sequence[ChosenCell]) -> dict[str, Any]:
    """The same as plain data, with every operation, its weight and its fate."""
    return {"genotype": genotype_text(cells), "cells": [_cell_json(cell) for cell in cells]}


def _cell_json(chosen: ChosenCell) -> dict[str, Any]:
    kept = set(chosen.kept)
    return {
        "name": chosen.name,
        "path": chosen.cell.path,
        "num_cells": chosen.num_cells,
        "num_inputs": chosen.cell.num_inputs,
        "num_nodes": chosen.cell.num_nodes,
        "outputs": list(chosen.cell.outputs),
        "paths": chosen.paths,
        "edges": [
            {
                "source": edge.source,
                "node": edge.node,
                "operation": edge.operation,
                "structure": edge.structure,
                "weight": None if edge.structure is None else chosen.weights.get(edge.structure),
                "kept": edge in kept,
            }
            for edge in chosen.cell.edges
        ],
    }


def _weight(edge: CellEdge, weights: Mapping[int, float]) -> float:
    return float("-inf") if edge.structure is None else weights.get(edge.structure, float("-inf"))


def _fields(chosen: ChosenCell) -> list[str]:
    key = chosen.name.replace(" ", "_")
    incoming = [[(edge.operation, edge.source) for edge in node] for node in chosen.incoming]
    is_even = len({len(node) for node in incoming}) == 1
    value: object = [pair for node in incoming for pair in node] if is_even else incoming
    concat = [chosen.cell.num_inputs + node for node in chosen.cell.outputs if incoming[node]]
    name = "concat" if key == "recurrent" else f"{key}_concat"
    return [f"{key}={value}", f"{name}={concat}"]


def _nas_bench_201(chosen: ChosenCell) -> str:
    """The string of NAS-Bench-201; several operations on one edge are joined by a plus."""
    nodes = []
    for node, edges in enumerate(chosen.incoming):
        parts = []
        for source in range(chosen.cell.num_inputs + node):
            names = [edge.operation for edge in edges if edge.source == source] or [NONE]
            parts.append(f"{'+'.join(names)}~{source}")
        nodes.append(f"|{'|'.join(parts)}|")
    return "+".join(nodes)
