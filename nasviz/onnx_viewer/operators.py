"""ONNX operators as rows of the operator table, with the literals and the behaviour at zero of each call.

Opset semantics: https://onnx.ai/onnx/operators/. What has no row keeps its own name in lower case and is
assumed nothing about; where that name is a row of another meaning, or the operator is not a standard one, its
domain stands before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import inf

from nasviz.graph.operators.rules import (
    INPUT,
    INPUTS,
    KEEPS,
    NOTHING,
    OTHER,
    Behaviour,
    product_at_zero,
    sum_at_zero,
)
from nasviz.graph.operators.table import BUILT_IN, rule
from nasviz.graph.trace_graph import Attribute
from nasviz.onnx_viewer.values import Call, Values
from nasviz.onnx_viewer.weighted import WEIGHTED, Description

__all__ = ["describe", "value_operands"]

_SAME = (
    "Relu Gelu Mish Tanh Sin Asin Atan Sinh Asinh Tan Abs Neg Sign Sqrt Erf Round Floor Ceil Softsign Selu "
    "Celu Elu Sigmoid Softplus Exp Cos Cosh Log Reciprocal HardSwish Dropout Expand"
).split()
_NAMES = {name: name.lower() for name in _SAME} | {
    "Swish": "silu",
    "LeakyRelu": "leaky_relu",
    "Cast": "to",
    "CastLike": "type_as",
    "Tile": "repeat",
    "Reshape": "reshape",
    "Slice": "slice",
    "Squeeze": "squeeze",
    "Unsqueeze": "unsqueeze",
    "Where": "where",
}
_KEEPING = frozenset("SpaceToDepth DepthToSpace LpPool GlobalLpPool Trilu ThresholdedRelu".split())
"""Operators without a row that are zero at zero all the same."""
_POOLS = {
    "MaxPool": "max_pool",
    "AveragePool": "avg_pool",
    "GlobalAveragePool": "adaptive_avg_pool",
    "GlobalMaxPool": "adaptive_max_pool",
}
_REDUCTIONS = {
    "ReduceMean": "mean",
    "ReduceSum": "sum",
    "ReduceMax": "amax",
    "ReduceMin": "amin",
    "ReduceProd": "prod",
    "ReduceL2": "linalg_vector_norm",
    "ReduceLogSumExp": "logsumexp",
}
_ONLY_FIRST = frozenset(
    "Reshape Expand Tile Slice Squeeze Unsqueeze Split Pad Resize Upsample Clip TopK CumSum CastLike Trilu "
    "ReduceL1 ReduceSumSquare ReduceLogSum Dropout".split()
) | frozenset(_REDUCTIONS)
"""Operators whose later operands are shapes, axes and bounds, not values."""


def describe(call: Call, values: Values) -> Description:
    """Return what one call is."""
    if call.domain:
        return Description(_own_name(call))
    found = _described(call, values)
    joins = sum(name in values.dependent for name in call.inputs) > 1
    if joins and found.operator in ("add", "sub", "cat") and not _has_sizes(call, values):
        return Description(_own_name(call))
    return found


def value_operands(call: Call) -> tuple[str, ...]:
    """Operands whose numbers it works on."""
    return call.inputs[:1] if call.op in _ONLY_FIRST and not call.domain else call.inputs


def _described(call: Call, values: Values) -> Description:
    for table in (WEIGHTED, _SPECIAL):
        found = table[call.op](call, values) if call.op in table else None
        if found is not None:
            return found
    name = _NAMES.get(call.op)
    if name is None:
        return Description(_own_name(call), KEEPS if call.op in _KEEPING else NOTHING)
    keeps = rule(name).zero == INPUTS and call.operand(0) in values.dependent
    literals = {key: call.attributes[key] for key in ("alpha",) if key in call.attributes}
    return Description(name, KEEPS if keeps else NOTHING, literals)


def _own_name(call: Call) -> str:
    """Its own name in lower case, told apart from a row of the table that means something else."""
    name = re.sub(r"\W", "_", call.op.lower())[:60]
    if call.domain:
        return f"{re.sub(r'[^a-z0-9_.]', '_', call.domain.lower())[:60]}.{name}"
    return f"onnx.{name}" if name in BUILT_IN else name


def _has_sizes(call: Call, values: Values) -> bool:
    """Return whether all sizes of operands and result are known, so that they can be compared."""
    names = (*call.inputs, *call.outputs)
    return all(values.sizes(name) and -1 not in (values.sizes(name) or ()) for name in names if name)


def _sum(call: Call, values: Values) -> Description:
    behaviour = sum_at_zero(values.factor(name) for name in call.inputs)
    return Description("sub" if call.op == "Sub" else "add", behaviour, {"alpha": 1})


def _concatenation(call: Call, values: Values) -> Description:
    attributes = _axis(values.rank(call.outputs[0]), "dim", call.attributes.get("axis", 1))
    return Description("cat", sum_at_zero(values.factor(name) for name in call.inputs), attributes)


def _product(call: Call, values: Values) -> Description:
    name = {"Mul": "mul", "MatMul": "matmul", "Einsum": "einsum"}[call.op]
    return Description(name, sum_at_zero([product_at_zero(values.factor(n) for n in call.inputs)]))


def _quotient(call: Call, values: Values) -> Description:
    first, second = values.factor(call.operand(0)), values.factor(call.operand(1))
    is_safe = first is INPUT and call.operand(1) not in values.dependent and second is not None
    return Description("div", Behaviour(keeps_zero=True, closes=second is OTHER) if is_safe else NOTHING)


def _power(call: Call, values: Values) -> Description | None:
    exponents = values.constant(call.operand(1))
    if call.operand(0) not in values.dependent or exponents is None:
        return None
    value: dict[str, Attribute] = {"exponent": exponents[0]} if len(exponents) == 1 else {}
    return Description("pow", KEEPS if all(e > 0 for e in exponents) else NOTHING, value)


def _extreme(call: Call, values: Values) -> Description | None:
    """`Max` and `Min` of two values, or of a value and a number."""
    if len(call.inputs) != 2:
        return None
    numbers = [n for name in call.inputs if (n := values.constant(name)) is not None]
    keeps = len(numbers) == 1 and all(n <= 0 if call.op == "Max" else n >= 0 for n in numbers[0])
    return Description("maximum" if call.op == "Max" else "minimum", KEEPS if keeps else NOTHING)


def _clamp(call: Call, values: Values) -> Description:
    bounds: dict[str, Attribute] = {}
    for place, key, default in ((1, "min", -inf), (2, "max", inf)):
        given = values.constant(call.operand(place)) if call.operand(place) else None
        bounds[key] = given[0] if given else call.attributes.get(key, default)
        if call.operand(place) and not given:
            return Description("clamp")
    keeps = bounds["min"] <= 0 <= bounds["max"]  # type: ignore[operator]
    finite = {key: value for key, value in bounds.items() if value not in (-inf, inf)}
    return Description("clamp", KEEPS if keeps else NOTHING, finite)


def _hard_sigmoid(call: Call, values: Values) -> Description | None:
    is_torch_s = call.attributes.get("beta", 0.5) == 0.5
    return Description("hardsigmoid") if is_torch_s else None


def _softmax(call: Call, values: Values) -> Description:
    name = "softmax" if call.op == "Softmax" else "log_softmax"
    rank = values.rank(call.operand(0))
    return Description(name, NOTHING, _axis(rank, "dim", call.attributes.get("axis", -1)))


def _pool(call: Call, values: Values) -> Description | None:
    axes = values.rank(call.operand(0)) - 2
    if not 1 <= axes <= 3:
        return None
    returns_places = len(call.outputs) > 1 and bool(call.outputs[1])
    return Description(f"{_POOLS[call.op]}{axes}d", NOTHING if returns_places else KEEPS)


def _resize(call: Call, values: Values) -> Description | None:
    """Of positions only; one that changes the channels has no row."""
    before, after = values.sizes(call.operand(0)) or (), values.sizes(call.outputs[0]) or ()
    mode = call.attributes.get("mode", "nearest")
    name = {"nearest": "upsample_nearest", "linear": "upsample_bilinear", "cubic": "upsample_bicubic"}.get(
        mode
    )
    fills = call.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    if name is None or fills or len(before) != 4 or before[:2] != after[:2]:
        return None
    return Description(f"{name}2d", KEEPS)


def _reduction(call: Call, values: Values) -> Description | None:
    axes = call.attributes.get("axes") or (values.constant(call.operand(1)) if call.operand(1) else None)
    rank = values.rank(call.operand(0))
    if not rank or (call.operand(1) and axes is None):
        return None
    if not axes and call.attributes.get("noop_with_empty_axes"):
        return None
    dims = tuple(axis % rank for axis in axes) if axes else tuple(range(rank))
    name = _REDUCTIONS[call.op]
    keeps = KEEPS if rule(name).zero == INPUTS else NOTHING
    return Description(name, keeps, {"dims": dims, "keepdim": bool(call.attributes.get("keepdims", 1))})


def _flatten(call: Call, values: Values) -> Description:
    rank, axis = values.rank(call.operand(0)), call.attributes.get("axis", 1)
    if rank < 2 or axis % rank != 1:
        return Description("reshape", KEEPS)
    return Description("flatten", KEEPS, {"start_dim": 1, "end_dim": rank - 1})


def _permute(call: Call, values: Values) -> Description:
    dims = call.attributes.get("perm") or range(values.rank(call.operand(0)))[::-1]
    return Description("permute", KEEPS, {"dims": tuple(dims)})


def _pad(call: Call, values: Values) -> Description:
    mode = call.attributes.get("mode", "constant")
    value = values.constant(call.operand(2)) if call.operand(2) else [call.attributes.get("value", 0)]
    keeps = mode != "constant" or (value is not None and not any(value))
    return Description("pad", KEEPS if keeps else NOTHING)


def _split(call: Call, values: Values) -> Description:
    """Pieces of one length, the last perhaps shorter, are torch's `split`."""
    axis, rank = call.attributes.get("axis", 0), values.rank(call.operand(0))
    attributes = _axis(rank, "dim", axis)
    lengths = [(values.sizes(name) or ())[axis : axis + 1 or None] for name in call.outputs] if rank else []
    is_even = all(lengths) and len(set(lengths[:-1])) <= 1 and lengths[-1:] <= lengths[:1]
    if not is_even:
        return Description("split_with_sizes", KEEPS, attributes)
    return Description("split", KEEPS, attributes | {"split_size": lengths[0][0] if lengths else None})


def _gather(call: Call, values: Values) -> Description:
    """One index selects along an axis; several pick along it."""
    if call.operand(1) in values.dependent:
        return Description("index")
    rank, axis = values.rank(call.operand(0)), call.attributes.get("axis", 0)
    indices = values.constant(call.operand(1))
    attributes = _axis(rank, "dim", axis)
    if values.sizes(call.operand(1)) == () and indices:
        return Description("select", KEEPS, attributes | {"index": int(indices[0])})
    return Description("index_select", KEEPS, attributes)


def _attention(call: Call, values: Values) -> Description:
    return Description("scaled_dot_product_attention", sum_at_zero([values.factor(call.operand(2))]))


def _axis(rank: int, key: str, axis: int) -> dict[str, Attribute]:
    """An axis counted from the front; nothing where it is not known how many there are."""
    return {key: axis % rank} if rank else {}


_SPECIAL: dict[str, Callable[[Call, Values], Description | None]] = {
    **dict.fromkeys(("Add", "Sub", "Sum"), _sum),
    **dict.fromkeys(("Mul", "MatMul", "Einsum"), _product),
    **dict.fromkeys(("Max", "Min"), _extreme),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    **dict.fromkeys(_POOLS, _pool),
    **dict.fromkeys(_REDUCTIONS, _reduction),
    "Concat": _concatenation,
    "Div": _quotient,
    "Pow": _power,
    "Clip": _clamp,
    "HardSigmoid": _hard_sigmoid,
    "Flatten": _flatten,
    "Transpose": _permute,
    "Pad": _pad,
    "Split": _split,
    "Gather": _gather,
    "Attention": _attention,
}
"""For each operator what a call of it is; None where this one fits no row."""
