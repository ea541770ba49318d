"""What becomes of channels that are exactly zero: the slicing rules of construction, one a `Channels` row.

A rule answers with the zero channels of the vertex's output and the rows it cuts from its tensors, or with
`None`: no rule fits, so zeros must be written back before the vertex (always exact).
"""

from __future__ import annotations

from collections.abc import Callable

from nasviz.graph.moves import (
    part,
    permute,
    pixel_shuffle,
    pixel_unshuffle,
    reduce,
    reshape,
    split,
    transpose,
    window,
)
from nasviz.graph.operators import Channels
from nasviz.graph.passage import Passage, Zeros
from nasviz.graph.structures import Slice
from nasviz.graph.trace_graph import Vertex

__all__ = ["concatenated", "pass_through"]


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
    if vertex.operator in ("mul", "div") and not vertex.parameters and not vertex.buffers:
        return _pass(vertex, zeros, shape)  # by a number
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


def _pass(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    same_axis = len(shape) == len(vertex.shape) and vertex.shape[zeros.axis] == zeros.size
    spatial = "pool" in vertex.operator or "upsample" in vertex.operator
    if not (vertex.keeps_zero and same_axis) or (spatial and zeros.axis != 1):
        return None
    return Passage(zeros)


def _rows(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    if zeros.axis != 1 or not vertex.module:
        return None
    left = zeros.size - len(zeros.rows)
    if vertex.operator == "prelu":
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
    return Passage(zeros, rows + statistics, rows, {"num_features": left})


def _columns(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    if zeros.axis != len(shape) - 1 or not vertex.parameters or not vertex.module:
        return None
    left = zeros.size - len(zeros.rows)
    inputs = 0 if vertex.attributes.get("transposed") else 1  # torch's weights have them last, others first
    cut = Slice(vertex.parameters[0], inputs, zeros.rows, vertex.id)
    return Passage(None, (cut,), retyped={"in_features": left}, kept=(left, zeros.size))


def _convolution(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    groups, is_transposed = vertex.attributes.get("groups", 1), bool(vertex.attributes.get("transposed"))
    if zeros.axis != 1 or not vertex.parameters or not vertex.module or not isinstance(groups, int):
        return None
    left = zeros.size - len(zeros.rows)
    if groups == 1:
        cut = Slice(vertex.parameters[0], 0 if is_transposed else 1, zeros.rows, vertex.id)
        return Passage(None, (cut,), retyped={"in_channels": left}, kept=(left, zeros.size))
    return None if is_transposed else _grouped(vertex, zeros, groups)


def _grouped(vertex: Vertex, zeros: Zeros, groups: int) -> Passage | None:
    """Whole groups go, with their filters; a depthwise convolution has one channel a group."""
    width = zeros.size // groups
    gone = tuple(dict.fromkeys(row // width for row in zeros.rows))
    if len(gone) * width != len(zeros.rows):
        return None
    left, filters = groups - len(gone), vertex.shape[1] // groups
    after = Zeros(1, Zeros(1, gone, groups).spread(filters), vertex.shape[1])
    retyped = {"in_channels": left * width, "out_channels": left * filters, "groups": left}
    weight, *bias = vertex.parameters
    shifts = tuple(Slice(name, 0, after.rows, vertex.id) for name in bias)
    cut = Slice(weight, 0, after.rows, vertex.id)
    return Passage(after, (cut, *shifts), shifts, retyped, (left, groups))


_RULES: dict[Channels, Callable[[Vertex, Zeros, tuple[int, ...]], Passage | None]] = {
    Channels.PASS: _pass,
    Channels.ROWS: _rows,
    Channels.COLUMNS: _columns,
    Channels.CONVOLUTION: _convolution,
    Channels.RESHAPE: reshape,
    Channels.PERMUTE: permute,
    Channels.REDUCE: reduce,
}
_BY_OPERATOR: dict[str, Callable[[Vertex, Zeros, tuple[int, ...]], Passage | None]] = {
    "transpose": transpose,
    "swapaxes": transpose,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "chunk": split,
    "split": split,
    "unbind": split,
    "slice": window,
}
