"""Genotypes: which operations of a cell a search has chosen, as a choice, as text and as plain data.

The text is that of DARTS where every node keeps as many operations as the others, as its code expects, and
the string of NAS-Bench-201 for cells of its kind; a mixture of paths is a list for each node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nasviz.graph.cells.cell_graphs import CellEdge, CellGraph
from nasviz.graph.cells.derivation import NONE

__all__ = ["ChosenCell", "alive", "genotype_json", "genotype_text", "strongest", "without"]


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
