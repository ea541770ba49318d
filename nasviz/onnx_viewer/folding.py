"""Shapes that an ONNX file computes as it runs, worked out beforehand.

Older exporters write `x.view(n, c // 2, 2, h, w)` as a chain of `Shape`, `Gather`, `Div` and `Concat`. Once
shapes are known up to such a chain, its numbers are: they are put in its place, and shapes are inferred
further. Only whole numbers are worked with, and few of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from nasviz.errors import OnnxError
from nasviz.onnx_viewer.names import first_line, plain

if TYPE_CHECKING:
    import onnx

__all__ = ["fold_shapes", "numbers_of"]

MOST_NUMBERS = 64
LARGEST_NUMBER = 1 << 40

Numbers = np.ndarray[Any, np.dtype[np.int64]]


def fold_shapes(model: onnx.ModelProto, sizes: Mapping[str, Sequence[int] | None]) -> int:
    """Replace computed shapes by their numbers, in place; how many nodes could be replaced.

    Args:
        model: Its nodes in topological order.
        sizes: Shapes that are known; -1 for a size that is not.
    """
    from onnx import numpy_helper

    known = {t.name: n for t in model.graph.initializer if (n := _numbers(t)) is not None}
    kept, folded = [], []
    for node in model.graph.node:
        found = None
        if node.domain in ("", "ai.onnx") and node.op_type in _RULES and len(node.output) == 1:
            found = _evaluate(node, [known.get(name) for name in node.input], sizes)
        if found is None:
            kept.append(node)
        else:
            known[node.output[0]] = found
            folded.append(node)
    if folded:
        read = {name for node in kept for name in node.input} | {v.name for v in model.graph.output}
        del model.graph.node[:]
        model.graph.node.extend(kept)
        model.graph.initializer.extend(
            numpy_helper.from_array(known[node.output[0]], node.output[0])
            for node in folded
            if node.output[0] in read
        )
    return len(folded)


def numbers_of(tensor: onnx.TensorProto) -> np.ndarray[Any, Any]:
    """The numbers that a tensor holds.

    Raises:
        OnnxError: It holds more or fewer than its shape says.
    """
    from onnx import numpy_helper

    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError) as error:
        raise OnnxError(f"the tensor {plain(tensor.name)} of this file: {first_line(error)}") from None


def _numbers(tensor: onnx.TensorProto) -> Numbers | None:
    """The numbers of a small tensor of whole numbers; None for any other."""
    is_whole = tensor.data_type in (6, 7)  # INT32, INT64
    if not is_whole or prod(tensor.dims) > MOST_NUMBERS or len(tensor.dims) > 4:
        return None
    return numbers_of(tensor).astype(np.int64)


def _evaluate(
    node: onnx.NodeProto, operands: list[Numbers | None], sizes: Mapping[str, Sequence[int] | None]
) -> Numbers | None:
    from onnx import helper

    if node.op_type == "Constant":
        return next((_numbers(a.t) for a in node.attribute if a.name == "value"), None)
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type in ("Shape", "Size"):
        whole = sizes.get(node.input[0])
        if whole is None or -1 in whole or prod(whole) > LARGEST_NUMBER:
            return None
        part = whole[given.get("start", 0) : given.get("end")]
        return np.array(part if node.op_type == "Shape" else prod(whole), np.int64)
    values = [value for value in operands if value is not None]
    if not values or len(values) < len(operands):
        return None
    try:
        found = np.asarray(_RULES[node.op_type](values, given), np.int64)
    except (ValueError, IndexError, KeyError, TypeError, ZeroDivisionError, OverflowError):
        return None  # it would fail when it runs, too
    is_small = found.size <= MOST_NUMBERS and np.abs(found).max(initial=0) <= LARGEST_NUMBER
    return found if is_small else None


def _quotient(values: list[Numbers], given: Mapping[str, Any]) -> Any:
    """ONNX divides whole numbers towards zero."""
    top, bottom = values
    if not bottom.all():
        raise ZeroDivisionError
    return np.sign(top) * np.sign(bottom) * (np.abs(top) // np.abs(bottom))


def _slice(values: list[Numbers], given: Mapping[str, Any]) -> Any:
    data, starts, ends = values[:3] if len(values) > 2 else (values[0], given["starts"], given["ends"])
    axes = values[3] if len(values) > 3 else given.get("axes", range(len(starts)))
    steps = values[4] if len(values) > 4 else [1] * len(starts)
    parts = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        parts[int(axis)] = slice(int(start), int(end), int(step))
    return data[tuple(parts)]


def _axes(values: list[Numbers], given: Mapping[str, Any]) -> list[int]:
    return [int(axis) for axis in (values[1] if len(values) > 1 else given.get("axes", ()))]


def _unsqueeze(values: list[Numbers], given: Mapping[str, Any]) -> Any:
    return np.expand_dims(values[0], tuple(_axes(values, given)))


def _squeeze(values: list[Numbers], given: Mapping[str, Any]) -> Any:
    return np.squeeze(values[0], tuple(_axes(values, given)) or None)


def _cast(values: list[Numbers], given: Mapping[str, Any]) -> Any:
    if given["to"] not in (6, 7):  # INT32, INT64
        raise ValueError
    return values[0]


def _filled(values: list[Numbers], given: Mapping[str, Any]) -> Any:
    if values[0].size > MOST_NUMBERS or values[0].prod() > MOST_NUMBERS or values[0].min(initial=0) < 0:
        raise ValueError
    number = _numbers(given["value"]) if "value" in given else None
    if number is None:
        raise ValueError  # zeros with a point: no shape
    return np.full(values[0].tolist(), number.ravel()[0])


_RULES: dict[str, Callable[[list[Numbers], Mapping[str, Any]], Any]] = {
    **dict.fromkeys(("Constant", "Shape", "Size"), lambda values, given: None),
    "Identity": lambda values, given: values[0],
    "Cast": _cast,
    "Gather": lambda values, given: np.take(values[0], values[1], axis=given.get("axis", 0)),
    "Concat": lambda values, given: np.concatenate(values, axis=given["axis"]),
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
    "Add": lambda values, given: values[0] + values[1],
    "Sub": lambda values, given: values[0] - values[1],
    "Mul": lambda values, given: values[0] * values[1],
    "Div": _quotient,
    "Mod": lambda values, given: np.mod(*values) if values[1].all() else None,
    "Equal": lambda values, given: values[0] == values[1],
    "Where": lambda values, given: np.where(*values),
    "ConstantOfShape": _filled,
    "Transpose": lambda values, given: np.transpose(values[0], given.get("perm")),
    "Reshape": lambda values, given: values[0].reshape(values[1]),
}
"""What of whole numbers becomes of them; the first three read no numbers."""
