"""What becomes of channels that are exactly zero: the slicing rules of construction, one a `Channels` row.

A rule answers with the zero channels of the vertex's output and the rows it cuts from its tensors, or with
`None`: no rule fits, so zeros must be written back before the vertex (always exact).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nasviz.graph.mixers import columns, convolution
from nasviz.graph.moves import (
    channel_shuffle,
    pad,
    part,
    permute,
    pixel_shuffle,
    pixel_unshuffle,
    reduce,
    reshape,
    select,
    split,
    transpose,
    window,
)
from nasviz.graph.operators import VALUE_AT_ZERO, Channels
from nasviz.graph.passage import Passage, Zeros
from nasviz.graph.structures import Slice
from nasviz.graph.trace_graph import Vertex

__all__ = ["concatenated", "constant_at_zero", "keeps_axis", "pass_through"]


def pass_through(
    vertex: Vertex, zeros: Zeros, shape: tuple[int, ...], *, owns: bool, source: Vertex | None = None
) -> Passage | None:
    """Send zero channels of the only operand through a vertex.

    Args:
        vertex: No joint.
        zeros: Of its operand.
        shape: Of its operand, in the full network.
        owns: Whether its tensors are read by no other vertex; only then they may be cut, and only where
            they are the weight itself (`computed_weight` marks one that is made from them).
        source: The vertex that it reads, unless that is an input.
    """
    if vertex.operator == "mul" and vertex.attributes.get("factor_shape") == ():
        return _pass(vertex, zeros, shape)  # by a single parameter
    if vertex.parameters and (not owns or vertex.attributes.get("computed_weight")):
        return None
    if vertex.operator == "getitem":
        return part(vertex, zeros, shape, source)
    by_number = vertex.operator in ("mul", "div") and not vertex.parameters and not vertex.buffers
    if by_number or constant_at_zero(vertex) is not None:
        return _pass(vertex, zeros, shape)
    rule = _BY_OPERATOR.get(vertex.operator) or _RULES.get(vertex.rule.channels)
    return rule(vertex, zeros, shape) if rule is not None else None


def concatenated(parts: list[tuple[Zeros | None, int, bool]], axis: int) -> Zeros | None:
    """Zero channels of a concatenation, from each operand's zeros, width and whether it is erased."""
    rows: list[int] = []
    offset = 0
    for zeros, width, is_erased in parts:
        if is_erased:
            rows.extend(range(offset, offset + width))
        elif zeros is not None:
            rows.extend(offset + row for row in zeros.rows)
        offset += width
    return Zeros(axis, tuple(rows), offset) if rows else None


def keeps_axis(vertex: Vertex, axis: int, shape: tuple[int, ...]) -> bool:
    """Whether an operator that acts on each channel by itself finds them along this axis of its operand."""
    if len(shape) != len(vertex.shape) or vertex.shape[axis] != shape[axis]:
        return False
    return axis == 1 or not ("pool" in vertex.operator or "upsample" in vertex.operator)


def constant_at_zero(vertex: Vertex) -> float | None:
    """What an activation that acts on each number by itself makes of zero, where that is another number."""
    beta = vertex.attributes.get("beta")  # of a softplus
    return VALUE_AT_ZERO.get(vertex.operator) if beta in (None, 1) and not vertex.parameters else None


def _pass(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    if zeros.value or not keeps_axis(vertex, zeros.axis, shape):
        return None
    if (value := constant_at_zero(vertex)) is not None:
        return Passage(replace(zeros, value=value))
    return Passage(zeros) if vertex.keeps_zero else None


def _rows(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    if zeros.axis != 1 or not vertex.module:
        return None
    left = zeros.size - len(zeros.rows)
    if vertex.operator == "prelu":
        if zeros.value:
            return None
        if vertex.attributes.get("num_parameters") == 1:
            return Passage(zeros)
        cut = tuple(Slice(name, 0, zeros.rows, vertex.id) for name in vertex.parameters)
        return Passage(zeros, cut, retyped={"num_parameters": left})
    if not vertex.annihilates:
        return None
    rows = tuple(Slice(name, 0, zeros.rows, vertex.id) for name in vertex.parameters)
    statistics = tuple(
        Slice(name, 0, zeros.rows, vertex.id)
        for name in vertex.buffers
        if name.endswith(("running_mean", "running_var"))
    )
    return Passage(replace(zeros, value=0.0), rows + statistics, rows, {"num_features": left})


_RULES: dict[Channels, Callable[[Vertex, Zeros, tuple[int, ...]], Passage | None]] = {
    Channels.PASS: _pass,
    Channels.ROWS: _rows,
    Channels.COLUMNS: columns,
    Channels.CONVOLUTION: convolution,
    Channels.RESHAPE: reshape,
    Channels.PERMUTE: permute,
    Channels.REDUCE: reduce,
}
_BY_OPERATOR: dict[str, Callable[[Vertex, Zeros, tuple[int, ...]], Passage | None]] = {
    "transpose": transpose,
    "swapaxes": transpose,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "channel_shuffle": channel_shuffle,
    "pad": pad,
    "chunk": split,
    "split": split,
    "split_with_sizes": split,
    "unbind": split,
    "slice": window,
    "select": select,
}
