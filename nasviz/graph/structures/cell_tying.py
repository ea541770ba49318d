"""Ties: operations that stand at the same place in cells of one type (GSparsity, figure 1).

Cells are of one type where their operations are laid out alike: the same operations, between the same nodes,
in the same order. The normal and the reduction cells of a DARTS network are two types: their strides differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nasviz.graph.segments.blocks import modules_like
from nasviz.graph.segments.segment_graph import SegmentGraph
from nasviz.graph.structures.switches import Branch

__all__ = ["tie"]

_GEOMETRY = ("kernel_size", "stride", "dilation")
"""Attributes that tell one operation of a cell from another; widths differ between cells of one type."""


def tie(segments: SegmentGraph, branches: Sequence[Branch], cells: Iterable[str]) -> dict[str, str]:
    """For each branch the first one at its place, by their vertices; itself where it is tied to none.

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
    """What the operations of one cell are, and between which of its values."""
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
