"""Ties: operations that stand at the same place in cells of one type (GSparsity, figure 1).

Cells are of one type where their switches are laid out alike: the same operations, between the same nodes, in
the same order. So the normal and the reduction cells of a DARTS network, whose strides differ, are two types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nasviz.graph.blocks import modules_like
from nasviz.graph.segments import SegmentGraph
from nasviz.graph.switches import Switch

__all__ = ["tie"]

_GEOMETRY = ("kernel_size", "stride", "dilation")
"""Attributes that tell one operation of a cell from another; widths differ between cells of one type."""


def tie(segments: SegmentGraph, switches: Sequence[Switch], cells: Iterable[str]) -> dict[str, str]:
    """For each switch the first one at its place, by their vertices; itself where it is tied to none.

    Args:
        segments: Of the network that holds the switches.
        switches: All of them, in order.
        cells: Classes of the cells, or patterns of their paths; the outermost match counts.

    Raises:
        UnknownVertexError: A name matches no module.
    """
    trace = segments.trace
    paths = modules_like(trace, tuple(cells), "tie")
    members: dict[str, list[Switch]] = {}
    for switch in switches:
        place = trace[switch.edge[1]].scope
        if cell := next((path for path in place if path in paths), None):
            members.setdefault(cell, []).append(switch)
    first = {switch.vertex: switch.vertex for switch in switches}
    layouts: dict[tuple[object, ...], list[Switch]] = {}
    for inside in members.values():
        model = layouts.setdefault(_layout(segments, inside), inside)
        first |= {switch.vertex: twin.vertex for switch, twin in zip(inside, model, strict=True)}
    return first


def _layout(segments: SegmentGraph, inside: Sequence[Switch]) -> tuple[object, ...]:
    """What the switches of one cell are on, and between which of its values."""
    origins = _numbers(switch.origin for switch in inside)
    nodes = _numbers(switch.edge[1] for switch in inside)
    return tuple(
        (origins[switch.origin], nodes[switch.edge[1]], _operation(segments, switch)) for switch in inside
    )


def _numbers(values: Iterable[str]) -> Mapping[str, int]:
    return {value: number for number, value in enumerate(dict.fromkeys(values))}


def _operation(segments: SegmentGraph, switch: Switch) -> tuple[object, ...]:
    trace = segments.trace
    run = [trace[v] for v in segments[switch.structure].vertices if v != switch.vertex]
    return tuple((v.operator, *(str(v.attributes.get(name)) for name in _GEOMETRY)) for v in run)
