"""Drawing of cells as in the papers: states in a row, and a labelled edge per operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import graphviz

from nasviz.draw.labels import label
from nasviz.draw.live_frame import last_scores
from nasviz.draw.run_space import read_space
from nasviz.errors import RunStateError
from nasviz.graph import SearchSpace
from nasviz.graph.cells.genotypes import (
    CellEdge,
    CellGraph,
    ChosenCell,
    alive,
    cell_graphs,
    cells_by_type,
    strongest,
    without,
)
from nasviz.runs import Run, RunSettings, Tail
from nasviz.runs.files import SPACE, is_file

__all__ = ["cells_of", "chosen_cells", "genotype_dot", "summary"]

THRESHOLD = 1e-6
"""Default threshold of GSparsity."""
_GRAPH = {"rankdir": "LR", "bgcolor": "transparent", "nodesep": "0.12", "ranksep": "0.5", "pad": "0.15"}
_STATE = {
    "fontname": "Helvetica",
    "fontsize": "14",
    "shape": "box",
    "style": "filled",
    "color": "#8a94a6",
    "height": "0.4",
    "width": "0.5",
}
_ARROW = {"fontname": "Helvetica", "fontsize": "12", "color": "#8a94a6", "arrowsize": "0.7"}
_FILLS = {"input": "#d7ead9", "node": "#d8e6f6", "output": "#f4e6b5", "dead": "#f2f2f2"}


def chosen_cells(
    space: SearchSpace, settings: RunSettings, tail: Tail, result: Mapping[str, Any] | None = None
) -> tuple[ChosenCell, ...]:
    """Return the cells of a run, one per cell type, with the operations kept; empty if there are no cells.

    Args:
        space: Search space of the run.
        settings: Settings of the run.
        tail: Record of the run, up to the step of interest.
        result: Result of a finished run; without it, the operations are those kept if the search ended now.
    """
    names = sorted({kind for kind in space.trace.modules.values() if kind.endswith("Cell")})
    if not names:
        return ()
    weights = last_scores(tail)
    found = []
    for name, cells in cells_by_type(cell_graphs(space, names)).items():
        kept = _kept(cells[0], settings, tail, weights, result)
        found.append(ChosenCell(name, cells[0], kept, weights, len(cells)))
    return tuple(found)


def cells_of(run: Run) -> tuple[ChosenCell, ...]:
    """Return the cells of a run, at its end or in its current state.

    Raises:
        RunStateError: The run has not started, or its network has no cells.
    """
    path = run.folder / SPACE
    cells: tuple[ChosenCell, ...] = ()
    if is_file(path):
        space, end = read_space(path), run.end
        cells = chosen_cells(space, run.settings, run.tail(), end.result if end else None)
    if not cells:
        raise RunStateError(
            f"run {run.id} ({run.state}) has no cells to show: the run must have started, and its network"
            " needs modules that sum operations and whose class name ends in Cell"
        )
    return cells


def _kept(
    cell: CellGraph,
    settings: RunSettings,
    tail: Tail,
    weights: Mapping[int, float],
    result: Mapping[str, Any] | None,
) -> tuple[CellEdge, ...]:
    if result and "selected" in result:
        return without(cell, result["selected"])
    for vector in settings.method.vectors(settings.kept_edges)[:1]:
        if vector.num_kept is not None:
            return strongest(cell, weights, edges_per_node=vector.num_kept)
        if vector.zero_at is not None:
            return alive(cell, weights, above=vector.zero_at)
    return without(cell, [e.structure for e in tail.events if e.kind == "zero" and e.structure is not None])


def genotype_dot(chosen: ChosenCell, *, is_whole: bool = False, has_weights: bool = True) -> str:
    """Return the Graphviz source of one cell: inputs, nodes, output, and an edge per operation.

    Args:
        chosen: The cell.
        is_whole: Whether to draw operations that are not kept, dashed and pale.
        has_weights: Whether to append the weight to each operation; without weights the source only changes
            with the operations kept.
    """
    cell, kept = chosen.cell, set(chosen.kept)
    fed = {edge.node for edge in chosen.kept}
    dot = graphviz.Digraph(graph_attr=_GRAPH, node_attr=_STATE, edge_attr=_ARROW)
    for state in range(cell.num_inputs + cell.num_nodes):
        node = state - cell.num_inputs
        fill = "input" if node < 0 else "node" if node in fed else "dead"
        dot.node(f"s{state}", label=label([cell.state(state)]), fillcolor=_FILLS[fill])
    dot.node("out", label=label(["c_{k}" if cell.num_inputs > 1 else "out"]), fillcolor=_FILLS["output"])
    for edge in cell.edges:
        if edge in kept or is_whole:
            _draw(dot, cell, edge, chosen.weights if has_weights else {}, is_kept=edge in kept)
    for node in cell.outputs:
        look = {} if node in fed else {"style": "dashed", "color": "#d5d9e0"}
        dot.edge(f"s{cell.num_inputs + node}", "out", **look)
    return str(dot.source)


def _draw(
    dot: graphviz.Digraph, cell: CellGraph, edge: CellEdge, weights: Mapping[int, float], *, is_kept: bool
) -> None:
    text = edge.operation
    if edge.structure is not None and edge.structure in weights:
        text += f"  {weights[edge.structure]:.2f}"
    look = {} if is_kept else {"style": "dashed", "color": "#d5d9e0", "fontcolor": "#9aa3b0"}
    dot.edge(f"s{edge.source}", f"s{cell.num_inputs + edge.node}", label=label([text]), **look)


def summary(cells: Sequence[ChosenCell]) -> str:
    """Return a one-line summary of cells and the kinds of paths they keep."""
    return "; ".join(
        f"{c.name}: {len(c.kept)} of {len(c.cell.edges)} operations, {c.paths}"
        + (f", the same in {c.num_cells} cells" if c.num_cells > 1 else "")
        for c in cells
    )
