"""Which axis of a value holds its channels, followed from the operators that make channels.

A concatenation along the channel axis may lose an operand; one along tokens or positions may not, because
zero tokens still take part in what follows (a softmax over positions, say).
"""

from __future__ import annotations

from nasviz.graph.operator_table import Channels
from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = ["channel_axes"]

_FEATURES_LAST = ("linear", "addmm", "layer_norm", "rms_norm", "embedding")
_FEATURES_SECOND = ("batch_norm", "group_norm", "instance_norm")


def channel_axes(trace: TraceGraph) -> dict[str, int | None]:
    """The channel axis of every vertex and virtual input; `None` where it cannot be told.

    Values of two, four and five dimensions without history have their channels second, as images do.
    """
    axes: dict[str, int | None] = {i.id: _by_rank(len(i.shape)) for i in trace.inputs}
    ranks = {i.id: len(i.shape) for i in trace.inputs}
    for vertex in trace:
        ranks[vertex.id] = len(vertex.shape)
        source = vertex.inputs[0]
        axes[vertex.id] = _axis(vertex, axes[source], ranks[source])
    return axes


def _by_rank(rank: int) -> int | None:
    return None if rank in (0, 1, 3) else 1


def _axis(vertex: Vertex, before: int | None, rank_before: int) -> int | None:
    rank = len(vertex.shape)
    if vertex.operator.startswith("conv") or vertex.operator in _FEATURES_SECOND:
        return 1
    if vertex.operator in _FEATURES_LAST:
        return rank - 1
    if before is None:
        return _by_rank(rank)
    dims = vertex.attributes.get("dims")
    if vertex.rule.channels is Channels.PERMUTE and isinstance(dims, tuple):
        return dims.index(before)
    if vertex.rule.channels is Channels.REDUCE and isinstance(dims, tuple):
        if before in dims and not vertex.attributes.get("keepdim"):
            return None
        return before - (rank_before - rank and sum(1 for d in dims if d is not None and d < before))
    if vertex.operator == "flatten":
        start = vertex.attributes.get("start_dim")
        return min(before, start) if isinstance(start, int) else None
    return before if rank == rank_before else _by_rank(rank)
