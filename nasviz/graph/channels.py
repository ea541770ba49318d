"""What becomes of channels that are exactly zero: the slicing rules of construction, one a `Channels` row.

A rule answers with the zero channels of the vertex's output and the rows it cuts from its tensors, or with
`None`: no rule fits, so zeros must be written back before the vertex (always exact).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

from nasviz.graph.operators import Channels
from nasviz.graph.structures import Slice
from nasviz.graph.trace_graph import Vertex

__all__ = ["Passage", "Zeros", "concatenated", "pass_through"]


@dataclass(frozen=True, slots=True)
class Zeros:
    """Indices along one axis of a value at which it is exactly zero."""

    axis: int
    rows: tuple[int, ...]
    size: int
    """Length of the axis in the full network."""

    def spread(self, factor: int) -> tuple[int, ...]:
        """The rows when each of them becomes `factor` neighbouring ones."""
        return tuple(row * factor + offset for row in self.rows for offset in range(factor))


@dataclass(frozen=True, slots=True)
class Passage:
    """What zero channels do to one vertex."""

    zeros: Zeros | None
    """Those of its output; `None` when the output is whole again."""
    slices: tuple[Slice, ...] = ()
    """Rows to cut from its tensors."""
    entailed: tuple[Slice, ...] = ()
    """Rows that must be zero for the zeros to pass."""
    retyped: dict[str, int] = field(default_factory=dict)
    """New attributes of its module, or sizes among its literals (`size:AXIS`)."""
    kept: tuple[int, int] = (1, 1)
    """Share of its multiply-accumulates that stays, as a fraction."""


def pass_through(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...], owns: bool) -> Passage | None:
    """Send zero channels of the only operand through a vertex.

    Args:
        vertex: No joint.
        zeros: Of its operand.
        shape: Of its operand, in the full network.
        owns: Whether its tensors are read by no other vertex; only then they may be cut.
    """
    rule = _RULES.get(vertex.rule.channels)
    if rule is None or (vertex.parameters and not owns):
        return None
    return rule(vertex, zeros, shape)


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
    if vertex.operator == "prelu":
        if vertex.attributes.get("num_parameters") == 1:
            return Passage(zeros)
        cut = tuple(Slice(name, 0, zeros.rows, vertex.id) for name in vertex.parameters)
        return Passage(zeros, cut, retyped={"num_parameters": zeros.size - len(zeros.rows)})
    if not vertex.annihilates:
        return None
    rows = tuple(Slice(name, 0, zeros.rows, vertex.id) for name in vertex.parameters)
    statistics = tuple(
        Slice(name, 0, zeros.rows, vertex.id)
        for name in vertex.buffers
        if name.endswith(("running_mean", "running_var"))
    )
    left = zeros.size - len(zeros.rows)
    return Passage(zeros, rows + statistics, rows, {"num_features": left})


def _columns(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    if zeros.axis != len(shape) - 1 or not vertex.parameters:
        return None
    left = zeros.size - len(zeros.rows)
    cut = Slice(vertex.parameters[0], 1, zeros.rows, vertex.id)
    return Passage(None, (cut,), retyped={"in_features": left}, kept=(left, zeros.size))


def _convolution(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    groups, is_transposed = vertex.attributes.get("groups", 1), bool(vertex.attributes.get("transposed"))
    if zeros.axis != 1 or not vertex.parameters or not vertex.module:
        return None
    left = zeros.size - len(zeros.rows)
    weight, *bias = vertex.parameters
    if groups == 1:
        cut = Slice(weight, 0 if is_transposed else 1, zeros.rows, vertex.id)
        return Passage(None, (cut,), retyped={"in_channels": left}, kept=(left, zeros.size))
    if groups != zeros.size or is_transposed:
        return None
    factor = vertex.shape[1] // zeros.size
    after = Zeros(1, zeros.spread(factor), vertex.shape[1])
    retyped = {"in_channels": left, "out_channels": left * factor, "groups": left}
    shifts = tuple(Slice(name, 0, after.rows, vertex.id) for name in bias)
    cut = Slice(weight, 0, after.rows, vertex.id)
    return Passage(after, (cut, *shifts), shifts, retyped, (left, zeros.size))


def _flatten(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    axis, after = zeros.axis, vertex.shape
    if len(after) <= axis or shape[:axis] != after[:axis] or min(shape[axis:], default=0) < 0:
        return None
    if after[axis] == shape[axis]:
        factor = 1
    elif after[axis] == prod(shape[axis:]):
        factor = prod(shape[axis + 1 :])
    else:
        return None
    moved = Zeros(axis, zeros.spread(factor), after[axis])
    has_literal = vertex.operator in ("view", "reshape")
    return Passage(moved, retyped={f"size:{axis}": moved.size - len(moved.rows)} if has_literal else {})


def _permute(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    dims = vertex.attributes.get("dims")
    if not isinstance(dims, tuple) or zeros.axis not in dims:
        return None
    return Passage(Zeros(dims.index(zeros.axis), zeros.rows, zeros.size))


def _reduce(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    dims = vertex.attributes.get("dims")
    if not isinstance(dims, tuple) or not dims or zeros.axis in dims:
        return None
    before = (
        0 if vertex.attributes.get("keepdim") else sum(1 for d in dims if d is not None and d < zeros.axis)
    )
    return Passage(Zeros(zeros.axis - before, zeros.rows, zeros.size))


_RULES: dict[Channels, Callable[[Vertex, Zeros, tuple[int, ...]], Passage | None]] = {
    Channels.PASS: _pass,
    Channels.ROWS: _rows,
    Channels.COLUMNS: _columns,
    Channels.CONVOLUTION: _convolution,
    Channels.FLATTEN: _flatten,
    Channels.PERMUTE: _permute,
    Channels.REDUCE: _reduce,
}
