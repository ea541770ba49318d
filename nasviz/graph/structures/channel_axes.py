"""Which axis of a value holds its channels, followed from the operators that make channels.

A concatenation along the channel axis may lose an operand; one along tokens or positions may not, because
zero tokens still take part in what follows (a softmax over positions, say).
"""

from __future__ import annotations

from nasviz.graph.operators.binding import move_of
from nasviz.graph.operators.moves import Dropped, Reshaped, Turned
from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["channel_axes"]


def channel_axes(trace: TraceGraph) -> dict[str, int | None]:
    """Return the channel axis of every vertex and virtual input; `None` where it is unknown.

    Values of two, four and five dimensions without history have their channels second, as images do.
    """
    axes: dict[str, int | None] = {i.id: _by_rank(len(i.shape)) for i in trace.inputs}
    for vertex in trace:
        axes[vertex.id] = _axis(vertex, axes[vertex.inputs[0]], trace)
    return axes


def _by_rank(rank: int) -> int | None:
    return None if rank in (0, 1, 3) else 1


def _axis(vertex: Vertex, before: int | None, trace: TraceGraph) -> int | None:
    rank, rank_before = len(vertex.shape), len(trace.shapes[vertex.inputs[0]])
    if (axis := vertex.rule.channel_axis) is not None:
        return axis % rank if rank else None
    if before is None:
        return _by_rank(rank)
    move = None if vertex.is_joint else move_of(vertex, trace)
    if isinstance(move, Turned):
        return move.order.index(before)
    if isinstance(move, Dropped) and rank != rank_before:
        maps = move.maps(before, trace.shapes[vertex.inputs[0]])
        return None if isinstance(maps, str) else maps[0].axis
    if isinstance(move, Reshaped) and move.start is not None:
        return min(before, move.start)
    return before if rank == rank_before else _by_rank(rank)
