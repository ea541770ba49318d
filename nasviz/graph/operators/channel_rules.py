"""What becomes of channels that are exactly zero: the slicing rules of construction, one a `Channels` row.

A rule answers with the zero channels of the vertex's output and the rows it cuts from its tensors, or with
`None`: no rule fits, so zeros must be written back before the vertex (always exact). Where an operator makes
another number of zero, that constant is carried on, and a linear map takes it into its bias.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

from nasviz.graph.operator_table import VALUE_AT_ZERO, Channels
from nasviz.graph.operators.axis_rules import (
    channel_shuffle,
    elsewhere,
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
from nasviz.graph.operators.constant_propagation import follows_numbers, keeps_numbers, number_after
from nasviz.graph.operators.linear_rules import columns, convolution
from nasviz.graph.operators.propagation import Passage, Zeros
from nasviz.graph.structures.discovery import Slice
from nasviz.graph.trace_graph import Vertex

__all__ = ["concatenated", "constant_at_zero", "keeps_axis", "pass_through"]

_Rule = Callable[[Vertex, Zeros, tuple[int, ...]], Passage | None]


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
        return _moved(lambda v, z, s: part(v, z, s, source))(vertex, zeros, shape)
    if follows_numbers(vertex):
        return _pass(vertex, zeros, shape)
    rule = _BY_OPERATOR.get(vertex.operator) or _RULES.get(vertex.rule.channels)
    return rule(vertex, zeros, shape) if rule is not None else None


def concatenated(parts: list[tuple[Zeros | None, int, bool]], axis: int) -> Zeros | None:
    """Zero channels of a concatenation, from each operand's zeros, width and whether it is erased."""
    numbers: dict[int, float] = {}
    offset = 0
    for zeros, width, is_erased in parts:
        if is_erased:
            numbers |= dict.fromkeys(range(offset, offset + width), 0.0)
        elif zeros is not None:
            numbers |= {offset + row: number for row, number in zeros.numbers.items()}
        offset += width
    return Zeros(axis, tuple(numbers), offset).holding(numbers) if numbers else None


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
    if not keeps_axis(vertex, zeros.axis, shape):
        return None
    if (zeros.is_zero and vertex.keeps_zero) or keeps_numbers(vertex):
        return Passage(zeros)
    after = {row: number_after(vertex, number) for row, number in zeros.numbers.items()}
    known = {row: number for row, number in after.items() if number is not None}
    return Passage(zeros.holding(known)) if len(known) == len(after) else None


def _rows(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    if zeros.axis != 1 or not vertex.module:
        return None
    left = zeros.size - len(zeros.rows)
    if vertex.operator == "prelu":
        if not zeros.is_zero:
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
    return Passage(replace(zeros, values=()), rows + statistics, rows, {"num_features": left})


def _moved(rule: _Rule) -> _Rule:
    """A rule that only moves rows about, for rows of any numbers: those of each number move by themselves."""

    def moved(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
        passage = rule(vertex, replace(zeros, values=()), shape)
        if passage is None or passage.zeros is None or zeros.is_zero:
            return passage
        numbers: dict[int, float] = {}
        for number in dict.fromkeys(zeros.values):
            rows = tuple(row for row, value in zeros.numbers.items() if value == number)
            alone = rule(vertex, Zeros(zeros.axis, rows, zeros.size), shape)
            if alone is None or (alone.zeros is not None and alone.zeros.axis != passage.zeros.axis):
                return None
            numbers |= dict.fromkeys(alone.zeros.rows if alone.zeros is not None else (), number)
        if numbers.keys() != set(passage.zeros.rows):
            return None
        return replace(passage, zeros=passage.zeros.holding(numbers))

    return moved


def _reduce(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    passage = _moved(reduce)(vertex, zeros, shape)
    if passage is None or passage.zeros is None or zeros.is_zero or vertex.operator in _MEANS:
        return passage
    lengths = [shape[dim] for dim in _axes(vertex)]
    if vertex.operator != "sum" or min(lengths) < 1:
        return None
    total = {row: number * prod(lengths) for row, number in passage.zeros.numbers.items()}
    return replace(passage, zeros=passage.zeros.holding(total))


def _axes(vertex: Vertex) -> list[int]:
    dims = vertex.attributes["dims"]
    assert isinstance(dims, tuple)
    return [dim for dim in dims if dim is not None]


_MEANS = ("mean", "amax", "amin")
_RULES: dict[Channels, _Rule] = {
    Channels.PASS: _pass,
    Channels.ROWS: _rows,
    Channels.COLUMNS: columns,
    Channels.CONVOLUTION: convolution,
    Channels.RESHAPE: _moved(reshape),
    Channels.PERMUTE: _moved(permute),
    Channels.REDUCE: _reduce,
}
_BY_OPERATOR: dict[str, _Rule] = {
    "transpose": _moved(transpose),
    "swapaxes": _moved(transpose),
    "pixel_shuffle": _moved(pixel_shuffle),
    "pixel_unshuffle": _moved(pixel_unshuffle),
    "channel_shuffle": _moved(channel_shuffle),
    "pad": pad,
    "roll": elsewhere,
    "flip": elsewhere,
    "chunk": _moved(split),
    "split": _moved(split),
    "split_with_sizes": _moved(split),
    "unbind": _moved(split),
    "slice": _moved(window),
    "select": _moved(select),
}
