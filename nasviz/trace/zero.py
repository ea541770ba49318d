"""What a call gives where its input or its parameters are zero (see `Vertex.keeps_zero` and its neighbours).

A result is a sum of terms, a term a product of factors. A factor is zero with the input, with the parameters,
or never. A product is zero where one factor is; a sum only where all its terms are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from nasviz.graph.operators import AtZero, operator
from nasviz.trace.calls import arguments, nodes_in, operator_name, value_of

__all__ = ["Behaviour", "ZeroRules"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """When the result of a call is exactly zero."""

    keeps_zero: bool = False
    annihilates: bool = False
    closes: bool = False


_NOTHING = Behaviour()
_KEEPS = Behaviour(keeps_zero=True, closes=True)
_INPUT, _PARAMETER, _ZERO, _OTHER = Behaviour(True, False, True), Behaviour(False, True, True), None, _NOTHING
_LISTS_WITH_INDICES = ("sort", "topk", "max", "min", "cummax", "cummin", "mode", "kthvalue", "median")


def _product(factors: Iterable[Behaviour | None]) -> Behaviour | None:
    factors = list(factors)
    if _ZERO in factors:
        return _ZERO
    keeps, annihilates = (any(getattr(f, k) for f in factors) for k in ("keeps_zero", "annihilates"))
    return Behaviour(keeps, annihilates, keeps or annihilates)


def _sum(terms: Iterable[Behaviour | None]) -> Behaviour:
    terms = [term for term in terms if term is not None]
    return Behaviour(*(all(getattr(t, k) for t in terms) for k in ("keeps_zero", "annihilates", "closes")))


class ZeroRules:
    """Behaviour at zero of the calls of one graph.

    Args:
        dependent: Nodes that depend on the input.
        is_zero_with_parameters: Whether a node that does not is zero where all parameters are.
    """

    def __init__(self, dependent: set[fx.Node], is_zero_with_parameters: Callable[[fx.Node], bool]) -> None:
        self.dependent = dependent
        self.is_zero_with_parameters = is_zero_with_parameters

    def of(self, node: fx.Node) -> Behaviour:
        """Behaviour of one call."""
        name, given = operator_name(node), arguments(node)
        row = operator(name)
        special: Callable[[dict[str, Any]], Behaviour] | None = getattr(self, f"_{name}", None)
        if special is not None:
            return special(given)
        if name.startswith("conv") or name == "linear":
            return self._affine(given, "input")
        if name in ("layer_norm", "group_norm", "rms_norm"):
            gain = [_INPUT] + ([self._factor(given["weight"])] if given["weight"] is not None else [])
            return _sum([_product(gain), self._factor(given.get("bias"), missing=_ZERO)])
        if name in ("matmul", "mm", "bmm", "einsum"):
            return _sum([_product(self._factor(o) for o in _flat(given))])
        if row.at_zero is AtZero.MEASURED:
            return _KEEPS if _is_zero_at_zero(node) else _NOTHING
        if row.at_zero is AtZero.KEEPS and name not in _LISTS_WITH_INDICES:
            return _KEEPS
        return _NOTHING

    def _factor(self, operand: Any, missing: Behaviour | None = _OTHER) -> Behaviour | None:
        """How an operand is zero; literal zero is None."""
        if operand is None:
            return missing
        if not isinstance(operand, fx.Node):
            return _ZERO if operand == 0 else _OTHER
        if operand in self.dependent:
            value = value_of(operand)
            is_number = isinstance(value, Tensor) and not value.is_floating_point() and not value.is_complex()
            return _OTHER if is_number and operand.op == "placeholder" else _INPUT
        return _PARAMETER if self.is_zero_with_parameters(operand) else _OTHER

    def _affine(self, given: dict[str, Any], operand: str) -> Behaviour:
        product = _product([self._factor(given[operand]), self._factor(given["weight"])])
        return _sum([product, self._factor(given.get("bias"), missing=_ZERO)])

    def _batch_norm(self, given: dict[str, Any]) -> Behaviour:
        if given["weight"] is None:
            return _NOTHING
        return _sum([_product([_OTHER, self._factor(given["weight"])]), self._factor(given["bias"])])

    def _instance_norm(self, given: dict[str, Any]) -> Behaviour:
        value = _OTHER if given["running_mean"] is not None else _INPUT
        if given["weight"] is None:
            return _sum([value])
        return _sum([_product([value, self._factor(given["weight"])]), self._factor(given["bias"])])

    def _index_select(self, given: dict[str, Any]) -> Behaviour:
        return _sum([self._factor(given["self"])])

    def _embedding(self, given: dict[str, Any]) -> Behaviour:
        return _sum([_product([_OTHER, self._factor(given["weight"])])])

    def _add(self, given: dict[str, Any]) -> Behaviour:
        second = _product([self._factor(given["other"]), self._factor(given.get("alpha", 1))])
        return _sum([self._factor(given["self"]), second])

    _sub = _add

    def _cat(self, given: dict[str, Any]) -> Behaviour:
        return _sum(self._factor(operand) for operand in given["tensors"])

    _stack = _cat

    def _mul(self, given: dict[str, Any]) -> Behaviour:
        return _sum([_product([self._factor(given["self"]), self._factor(given["other"])])])

    def _div(self, given: dict[str, Any]) -> Behaviour:
        """0 / p is 0, but 0 / 0 is not: a divisor that may be zero too closes nothing."""
        first, second = self._factor(given["self"]), self._factor(given["other"])
        if second is _INPUT or second is _ZERO or first is not _INPUT:
            return _NOTHING
        return Behaviour(keeps_zero=True, closes=second is _OTHER)

    def _addmm(self, given: dict[str, Any]) -> Behaviour:
        scales = [self._factor(given["alpha"]), self._factor(given["beta"])]
        factors = [self._factor(given[k]) for k in given if k in ("mat1", "mat2", "batch1", "batch2")]
        return _sum([_product([*factors, scales[0]]), _product([self._factor(given["self"]), scales[1]])])

    _baddbmm = _addmm

    def _addcmul(self, given: dict[str, Any]) -> Behaviour:
        factors = [self._factor(given[key]) for key in ("tensor1", "tensor2", "value")]
        return _sum([self._factor(given["self"]), _product(factors)])

    def _addcdiv(self, given: dict[str, Any]) -> Behaviour:
        return _NOTHING

    def _bilinear(self, given: dict[str, Any]) -> Behaviour:
        factors = [self._factor(given[key]) for key in ("input1", "input2", "weight")]
        return _sum([_product(factors), self._factor(given["bias"], missing=_ZERO)])

    def _scaled_dot_product_attention(self, given: dict[str, Any]) -> Behaviour:
        return _sum([self._factor(given["value"])])


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
