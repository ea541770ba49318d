"""Where labelled channels meet: sums, products, attention and concatenations.

In a sum channels meet index by index and go together; in a product too, and one zero factor is enough. A
matrix product sums over an axis of each operand: what is cut there has to be the same in both. The
counterpart of `products`, which asks the same of channels that are zero.
"""

from __future__ import annotations

from collections.abc import Sequence

from nasviz.graph.operator_table import Role
from nasviz.graph.operators.labels import Labelled, Labels
from nasviz.graph.trace_graph import Vertex

__all__ = ["meet"]

Operands = Sequence[Labelled | None]
Shapes = Sequence[tuple[int, ...]]


def meet(vertex: Vertex, operands: Operands, shapes: Shapes, labels: Labels) -> Labelled | str | None:
    """The labels of a joint's value, or why labels end here."""
    if vertex.parameters or vertex.buffers:
        return f"there is no rule for {vertex.operator} ({vertex.name}) of values and variables"
    if vertex.role is Role.ADDITIVE or vertex.operator == "mul":
        return _index_by_index(vertex, operands, shapes, labels)
    if vertex.role is Role.CONCATENATING:
        return _concatenation(vertex, operands, shapes, labels)
    if vertex.operator in ("matmul", "bmm"):
        return _matrix_product(vertex, operands, shapes, labels)
    if vertex.operator == "scaled_dot_product_attention":
        return _attention(vertex, operands, shapes, labels)
    return f"there is no rule for {vertex.operator} ({vertex.name})"


def _index_by_index(
    vertex: Vertex, operands: Operands, shapes: Shapes, labels: Labels
) -> Labelled | str | None:
    """Axes are counted from the last, as broadcasting does."""
    is_sum = vertex.role is Role.ADDITIVE
    rank = len(vertex.shape)
    places = {v.axis - len(s) for v, s in zip(operands, shapes, strict=True) if v is not None}
    if not places:
        return None
    if len(places) > 1:
        return f"{vertex.name} ({vertex.operator}) joins them with those along another axis"
    (place,) = places
    if is_sum and any(len(shape) != rank for shape in shapes):
        return f"the addition {vertex.name} broadcasts: its operands differ in shape"
    met: list[Labelled] = []
    for value, shape in zip(operands, shapes, strict=True):
        size = shape[place] if -place <= len(shape) else 1
        if value is not None and size == vertex.shape[place]:
            met.append(value)
        elif is_sum or size != 1:
            return f"{vertex.name} ({vertex.operator}) joins them with a value whose channels stay"
        elif value is not None:
            labels.fix(value.labels, f"{vertex.name} spreads it over the channels of another value")
    if not met:
        return None
    for value in met[1:]:
        labels.join_all(met[0].labels, value.labels)
    is_zero = (all if is_sum else any)(value.is_zero for value in met)
    return Labelled(rank + place, met[0].labels, is_zero)


def _concatenation(vertex: Vertex, operands: Operands, shapes: Shapes, labels: Labels) -> Labelled | str:
    dim = vertex.attributes.get("dim")
    if not isinstance(dim, int) or sum(shape[dim] for shape in shapes) != vertex.shape[dim]:
        return f"{vertex.name} concatenates constants too, whose places are not known"
    if any(value is not None and value.axis != dim for value in operands):
        return f"{vertex.name} concatenates along axis {dim}, which does not hold channels"
    found: list[int] = []
    for value, shape in zip(operands, shapes, strict=True):
        if value is not None:
            found.extend(value.labels)
        else:
            found.extend(labels.fixed(shape[dim], f"{vertex.name} has them from a value that stays whole"))
    return Labelled(dim, tuple(found), all(value is None or value.is_zero for value in operands))


def _matrix_product(
    vertex: Vertex, operands: Operands, shapes: Shapes, labels: Labels
) -> Labelled | str | None:
    (left, right), (left_shape, right_shape) = operands, shapes
    if min(len(left_shape), len(right_shape)) < 2:
        return f"there is no rule for {vertex.name} ({vertex.operator}) of a vector"
    inner = left is not None and left.axis == len(left_shape) - 1
    if inner or (right is not None and right.axis == len(right_shape) - 2):
        if left is None or right is None or not inner or right.axis != len(right_shape) - 2:
            return f"{vertex.name} ({vertex.operator}) sums over them, with a value that stays whole"
        labels.join_all(left.labels, right.labels)
        return None if left.is_zero or right.is_zero else _not_zero(vertex)
    rows = left is not None and left.axis == len(left_shape) - 2
    columns = right is not None and right.axis == len(right_shape) - 1
    if (left is not None and not rows) or (right is not None and not columns) or (rows and columns):
        return f"{vertex.name} ({vertex.operator}) joins them along an axis that cannot be cut"
    value = left or right
    if value is None:
        return None
    axis = len(vertex.shape) - (2 if rows else 1)
    return Labelled(axis, value.labels) if value.is_zero else _not_zero(vertex)


def _attention(vertex: Vertex, operands: Operands, shapes: Shapes, labels: Labels) -> Labelled | str | None:
    """Queries and keys are summed over the dimensions of a head; those of values are the result's."""
    query, key, value = operands[:3]
    last = [
        operand is None or operand.axis == len(shape) - 1
        for operand, shape in zip(operands, shapes, strict=True)
    ]
    if len(operands) < 3 or not all(last[:3]) or any(mask is not None for mask in operands[3:]):
        return f"it feeds attention ({vertex.name}), where only equal dimensions of all heads can go"
    if (query is None) != (key is None):
        return f"attention ({vertex.name}) sums over them, with a value that stays whole"
    if query is not None and key is not None:
        labels.join_all(query.labels, key.labels)
        if not (query.is_zero or key.is_zero):
            return _not_zero(vertex)
    if value is None:
        return None
    return Labelled(len(vertex.shape) - 1, value.labels) if value.is_zero else _not_zero(vertex)


def _not_zero(vertex: Vertex) -> str:
    return f"they are not zero any more where {vertex.name} ({vertex.operator}) reads them"
