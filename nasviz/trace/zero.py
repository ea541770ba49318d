"""Behaviour of a call at zero input or zero parameters (see `Vertex.keeps_zero` and the fields after it).

`behaviour` combines sums and products; here is which operand is which, by operator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from nasviz.graph.behaviour import (
    INPUT,
    KEEPS,
    NOTHING,
    OTHER,
    PARAMETER,
    ZERO,
    Behaviour,
    product_at_zero,
    sum_at_zero,
)
from nasviz.graph.operator_table import AtZero, operator
from nasviz.trace.calls import arguments, nodes_in, operator_name, value_of

__all__ = ["ZeroRules"]

_LISTS_WITH_INDICES = ("sort", "topk", "max", "min", "cummax", "cummin", "mode", "kthvalue", "median")


class ZeroRules:
    """Behaviour at zero of the calls of one graph.

    Args:
        dependent: Nodes that depend on the input.
        is_zero_with_parameters: Tells whether a node that does not depend on the input is zero if all
            parameters are.
    """

    def __init__(self, dependent: set[fx.Node], is_zero_with_parameters: Callable[[fx.Node], bool]) -> None:
        self.dependent = dependent
        self.is_zero_with_parameters = is_zero_with_parameters

    def of(self, node: fx.Node) -> Behaviour:
        """Return the behaviour of one call."""
        name, given = operator_name(node), arguments(node)
        row = operator(name)
        special: Callable[[dict[str, Any]], Behaviour] | None = getattr(self, f"_{name}", None)
        if special is not None:
            return special(given)
        if name.startswith("conv") or name == "linear":
            return self._affine(given, "input")
        if name in ("layer_norm", "group_norm", "rms_norm"):
            gain = [INPUT] + ([self._factor(given["weight"])] if given["weight"] is not None else [])
            return sum_at_zero([product_at_zero(gain), self._factor(given.get("bias"), missing=ZERO)])
        if name in ("matmul", "mm", "bmm", "einsum"):
            return sum_at_zero([product_at_zero(self._factor(o) for o in _flat(given))])
        if row.at_zero is AtZero.MEASURED:
            return KEEPS if _is_zero_at_zero(node) else NOTHING
        if row.at_zero is AtZero.KEEPS and name not in _LISTS_WITH_INDICES:
            return KEEPS
        return NOTHING

    def _factor(self, operand: Any, missing: Behaviour | None = OTHER) -> Behaviour | None:
        """Return when an operand is zero; a literal zero gives `ZERO`."""
        if operand is None:
            return missing
        if not isinstance(operand, fx.Node):
            return ZERO if operand == 0 else OTHER
        if operand in self.dependent:
            value = value_of(operand)
            is_number = isinstance(value, Tensor) and not value.is_floating_point() and not value.is_complex()
            return OTHER if is_number and operand.op == "placeholder" else INPUT
        return PARAMETER if self.is_zero_with_parameters(operand) else OTHER

    def _affine(self, given: dict[str, Any], operand: str) -> Behaviour:
        product = product_at_zero([self._factor(given[operand]), self._factor(given["weight"])])
        return sum_at_zero([product, self._factor(given.get("bias"), missing=ZERO)])

    def _batch_norm(self, given: dict[str, Any]) -> Behaviour:
        if given["weight"] is None:
            return NOTHING
        return sum_at_zero(
            [product_at_zero([OTHER, self._factor(given["weight"])]), self._factor(given["bias"])]
        )

    def _instance_norm(self, given: dict[str, Any]) -> Behaviour:
        value = OTHER if given["running_mean"] is not None else INPUT
        if given["weight"] is None:
            return sum_at_zero([value])
        return sum_at_zero(
            [product_at_zero([value, self._factor(given["weight"])]), self._factor(given["bias"])]
        )

    def _index_select(self, given: dict[str, Any]) -> Behaviour:
        return sum_at_zero([self._factor(given["self"])])

    def _embedding(self, given: dict[str, Any]) -> Behaviour:
        return sum_at_zero([product_at_zero([OTHER, self._factor(given["weight"])])])

    def _add(self, given: dict[str, Any]) -> Behaviour:
        second = product_at_zero([self._factor(given["other"]), self._factor(given.get("alpha", 1))])
        return sum_at_zero([self._factor(given["self"]), second])

    _sub = _add

    def _cat(self, given: dict[str, Any]) -> Behaviour:
        return sum_at_zero(self._factor(operand) for operand in given["tensors"])

    _stack = _cat

    def _mul(self, given: dict[str, Any]) -> Behaviour:
        return sum_at_zero([product_at_zero([self._factor(given["self"]), self._factor(given["other"])])])

    def _div(self, given: dict[str, Any]) -> Behaviour:
        """0 / p is 0, but 0 / 0 is undefined: a divisor that may be zero too guarantees nothing."""
        first, second = self._factor(given["self"]), self._factor(given["other"])
        if second is INPUT or second is ZERO or first is not INPUT:
            return NOTHING
        return Behaviour(keeps_zero=True, closes=second is OTHER)

    def _addmm(self, given: dict[str, Any]) -> Behaviour:
        scales = [self._factor(given["alpha"]), self._factor(given["beta"])]
        factors = [self._factor(given[k]) for k in given if k in ("mat1", "mat2", "batch1", "batch2")]
        return sum_at_zero(
            [
                product_at_zero([*factors, scales[0]]),
                product_at_zero([self._factor(given["self"]), scales[1]]),
            ]
        )

    _baddbmm = _addmm

    def _addcmul(self, given: dict[str, Any]) -> Behaviour:
        factors = [self._factor(given[key]) for key in ("tensor1", "tensor2", "value")]
        return sum_at_zero([self._factor(given["self"]), product_at_zero(factors)])

    def _addcdiv(self, given: dict[str, Any]) -> Behaviour:
        return NOTHING

    def _bilinear(self, given: dict[str, Any]) -> Behaviour:
        factors = [self._factor(given[key]) for key in ("input1", "input2", "weight")]
        return sum_at_zero([product_at_zero(factors), self._factor(given["bias"], missing=ZERO)])

    def _scaled_dot_product_attention(self, given: dict[str, Any]) -> Behaviour:
        return sum_at_zero([self._factor(given["value"])])


def _flat(given: dict[str, Any]) -> list[fx.Node]:
    return [node for node in nodes_in(given) if isinstance(value_of(node), Tensor)]


def _is_zero_at_zero(node: fx.Node) -> bool:
    """Evaluate a call of one operand, with its literals, at zero."""
    if operator_name(node) == "pad":
        given = arguments(node)
        return given["mode"] != "constant" or not given["value"]
    if len(_flat(arguments(node))) != 1:
        return False
    assert isinstance(node.target, torch._ops.OpOverload)
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda operand: torch.zeros(1))
    return not node.target(*args, **kwargs).any().item()
