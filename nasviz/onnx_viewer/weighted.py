"""ONNX operators with weights as rows of the operator table: convolutions, linear maps, norms, embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

from nasviz.graph.operators.rules import (
    NOTHING,
    OTHER,
    ZERO,
    Behaviour,
    product_at_zero,
    sum_at_zero,
)
from nasviz.graph.trace_graph import Attribute
from nasviz.onnx_viewer.values import Call, Values

__all__ = ["WEIGHTED", "Description"]


@dataclass(frozen=True, slots=True)
class Description:
    """What a call is to the search space."""

    operator: str
    behaviour: Behaviour = NOTHING
    attributes: dict[str, Attribute] = field(default_factory=dict)
    weights: tuple[str, ...] = ()
    """Operands that stand where weights do, the weight first, then the bias."""
    statistics: tuple[str, ...] = ()
    """Operands that are no parameters, wherever they stand: means and variances."""
    macs: int = 0
    is_module: bool = False
    """Whether its tensors are its own, as they are in the file, so that rows of them can be cut."""


def _affine(values: Values, call: Call, gain: int, *, follows_input: bool = True) -> Behaviour:
    """Input times the operand `gain`, plus the one behind it."""
    factors = [
        values.factor(call.operand(0)) if follows_input else OTHER,
        values.factor(call.operand(gain), is_weight=True),
    ]
    shift = values.factor(call.operand(gain + 1), is_weight=True, missing=ZERO)
    return sum_at_zero([product_at_zero(factors), shift])


def _weights(call: Call, values: Values, *places: int) -> tuple[str, ...]:
    given = (call.operand(place) for place in places)
    return tuple(name for name in given if name and name not in values.dependent)


def _convolution(call: Call, values: Values) -> Description | None:
    sizes = values.sizes(call.operand(1))
    if sizes is None or not 3 <= len(sizes) <= 5 or call.operand(1) in values.dependent:
        return None
    is_transposed, groups, axes = call.op == "ConvTranspose", call.attributes.get("group", 1), len(sizes) - 2
    if groups < 1 or sizes[0] % groups:
        return None
    ins, outs = (sizes[0], sizes[1] * groups) if is_transposed else (sizes[1] * groups, sizes[0])
    pads = tuple(call.attributes.get("pads", [0] * 2 * axes))
    automatic = call.attributes.get("auto_pad", "NOTSET")
    root = values.weight_root(call.operand(1))
    counted = call.operand(0) if is_transposed else call.outputs[0]
    return Description(
        f"conv_transpose{axes}d" if is_transposed else f"conv{axes}d",
        _affine(values, call, 1),
        {
            "in_channels": ins,
            "out_channels": outs,
            "groups": groups,
            "kernel_size": sizes[2:],
            "stride": tuple(call.attributes.get("strides", [1] * axes)),
            "padding": pads[:axes] if automatic == "NOTSET" else str(automatic).lower(),
            "dilation": tuple(call.attributes.get("dilations", [1] * axes)),
            "transposed": is_transposed,
        }
        | ({} if root else {"computed_weight": True}),
        weights=_weights(call, values, 1, 2),
        macs=values.numbers_per_example(counted) * prod(sizes[1:]),
        is_module=root is not None,
    )


def _gemm(call: Call, values: Values) -> Description | None:
    given = call.attributes
    if given.get("transA") or call.operand(1) in values.dependent or call.operand(2) in values.dependent:
        return None
    return _linear(call, values, is_output_first=bool(given.get("transB")))


def _matmul(call: Call, values: Values) -> Description | None:
    return None if call.operand(1) in values.dependent else _linear(call, values, is_output_first=False)


def _linear(call: Call, values: Values, *, is_output_first: bool) -> Description | None:
    """`transposed` where the weight lies with its inputs first, unlike torch's."""
    sizes = values.sizes(call.operand(1))
    if sizes is None or len(sizes) != 2 or call.operand(0) not in values.dependent:
        return None
    outs, ins = sizes if is_output_first else sizes[::-1]
    root = values.weight_root(call.operand(1))
    is_transposed = is_output_first == bool(root and root[1])
    attributes: dict[str, Attribute] = {
        "in_features": ins,
        "out_features": outs,
        "transposed": is_transposed,
    }
    return Description(
        "linear",
        _affine(values, call, 1),
        attributes if root else attributes | {"computed_weight": True},
        weights=_weights(call, values, 1, 2),
        macs=values.numbers_per_example(call.outputs[0]) * ins,
        is_module=root is not None,
    )


def _batch_norm(call: Call, values: Values) -> Description | None:
    sizes = values.sizes(call.operand(1))
    if not sizes or call.attributes.get("training_mode") or not values.dependent.isdisjoint(call.inputs[1:]):
        return None
    return Description(
        "batch_norm",
        _affine(values, call, 1, follows_input=False),
        {"num_features": sizes[0]},
        weights=_weights(call, values, 1, 2),
        statistics=_weights(call, values, 3, 4),
        is_module=all(values.weight_root(name) for name in call.inputs[1:5]),
    )


def _norm(operator: str) -> Callable[[Call, Values], Description | None]:
    def describe(call: Call, values: Values) -> Description | None:
        attributes: dict[str, Attribute] = {}
        sizes = values.sizes(call.operand(1)) or ()
        if operator in ("layer_norm", "rms_norm"):
            attributes["normalized_shape"] = sizes
        elif operator == "group_norm":
            attributes["num_groups"] = call.attributes.get("num_groups", 1)
        weights = _weights(call, values, 1, 2)
        return Description(operator, _affine(values, call, 1), attributes, weights, is_module=True)

    return describe


def _prelu(call: Call, values: Values) -> Description | None:
    sizes = values.sizes(call.operand(1))
    if sizes is None or not (prod(sizes) == 1 or (len(sizes) == values.rank(call.operand(0)) - 1)):
        return None
    if prod(sizes) != (sizes[0] if sizes else 1) or call.operand(1) in values.dependent:
        return None
    keeps = Behaviour(keeps_zero=True, closes=True)
    slopes = _weights(call, values, 1)
    return Description("prelu", keeps, {"num_parameters": prod(sizes)}, slopes, is_module=True)


def _embedding(call: Call, values: Values) -> Description | None:
    """`Gather` of rows of a table that is a weight."""
    table = call.operand(0)
    sizes = values.sizes(table)
    is_table = table not in values.dependent and values.weight_root(table) is not None
    if not is_table or sizes is None or len(sizes) != 2 or call.attributes.get("axis", 0) != 0:
        return None
    return Description(
        "embedding",
        sum_at_zero([product_at_zero([OTHER, values.factor(table, is_weight=True)])]),
        {"num_embeddings": sizes[0], "embedding_dim": sizes[1]},
        weights=(table,),
        is_module=True,
    )


WEIGHTED: dict[str, Callable[[Call, Values], Description | None]] = {
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _norm("layer_norm"),
    "RMSNormalization": _norm("rms_norm"),
    "GroupNormalization": _norm("group_norm"),
    "InstanceNormalization": _norm("instance_norm"),
    "PRelu": _prelu,
    "Gather": _embedding,
}
"""For each operator its description; None where this call does not use weights in the usual way."""
