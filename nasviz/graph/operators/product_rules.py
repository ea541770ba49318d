"""What becomes of channels that are exactly zero where values meet in a product: the rules of its joints.

One zero factor makes a product zero. A matrix product sums over an axis of each operand; where the same
indices are missing in both, and zero in one of them, the sum is what it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from nasviz.graph.operators.propagation import Passage, Zeros
from nasviz.graph.trace_graph import Vertex

__all__ = ["product"]

Operands = Sequence[Zeros | None]
Shapes = Sequence[tuple[int, ...]]


def product(vertex: Vertex, operands: Operands, shapes: Shapes) -> Passage | None:
    """Zero channels of a product of values, from those of its operands; `None` where there is no rule."""
    if vertex.parameters or vertex.buffers:
        return None
    if vertex.operator == "mul":
        return _index_by_index(vertex, operands, shapes)
    if vertex.operator in ("matmul", "bmm"):
        return _matrix_product(vertex, operands, shapes)
    if vertex.operator == "scaled_dot_product_attention":
        return _attention(vertex, operands, shapes)
    return None


def _index_by_index(vertex: Vertex, operands: Operands, shapes: Shapes) -> Passage | None:
    """Each operand misses the same channels, or has one for all of them; axes count from the last."""
    missing = [(z.axis - len(s), z) for z, s in zip(operands, shapes, strict=True) if z is not None]
    if len({(place, z.rows, z.size) for place, z in missing}) != 1:
        return None
    place, zeros = missing[0]
    if zeros.size != vertex.shape[place]:
        return None
    whole = [s for z, s in zip(operands, shapes, strict=True) if z is None]
    if any(-place <= len(shape) and shape[place] != 1 for shape in whole):
        return None
    after = zeros.holding({row: prod(z.numbers[row] for _, z in missing) for row in zeros.rows})
    if whole and not after.is_zero:
        return None
    return Passage(replace(after, axis=len(vertex.shape) + place))


def _matrix_product(vertex: Vertex, operands: Operands, shapes: Shapes) -> Passage | None:
    (left, right), (left_shape, right_shape) = operands, shapes
    if min(len(left_shape), len(right_shape)) < 2:
        return None
    if left is not None and right is not None:
        is_inner = left.axis == len(left_shape) - 1 and right.axis == len(right_shape) - 2
        return Passage(None) if is_inner and _is_silent(left, right) else None
    rank = len(vertex.shape)
    if left is not None and left.axis == len(left_shape) - 2 and left.is_zero:
        return Passage(replace(left, axis=rank - 2))
    if right is not None and right.axis == len(right_shape) - 1 and right.is_zero:
        return Passage(replace(right, axis=rank - 1))
    return None


def _attention(vertex: Vertex, operands: Operands, shapes: Shapes) -> Passage | None:
    """Dimensions of queries and keys are summed over; those of values are the result's."""
    query, key, value = operands[:3]
    are_last = all(z is None or z.axis == len(s) - 1 for z, s in zip(operands, shapes, strict=True))
    if (
        not are_last
        or any(mask is not None for mask in operands[3:])
        or (value is not None and not value.is_zero)
    ):
        return None
    after = None if value is None else replace(value, axis=len(vertex.shape) - 1)
    if query is None and key is None:
        return Passage(after)
    if query is None or key is None or not _is_silent(query, key):
        return None
    scale = vertex.attributes.get("scale")
    # By default it follows from the number of dimensions, which must not change the result.
    return Passage(after, retyped={"scale": scale if isinstance(scale, float) else query.size**-0.5})


def _is_silent(first: Zeros, second: Zeros) -> bool:
    """Whether what is missing in both adds nothing to a sum of their products."""
    if first.rows != second.rows or first.size != second.size:
        return False
    return not any(number * second.numbers[row] for row, number in first.numbers.items())
