"""Behaviour of a call at zero input or zero parameters (see `Vertex.keeps_zero` and the fields after it).

The rule of each operator has a formula for it; `behaviour` tells what sums and products make of operands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from nasviz.graph.operators.rules import INPUTS, MEASURED
from nasviz.graph.operators.table import rule
from nasviz.trace.calls import arguments, nodes_in, operator_name, value_of

__all__ = ["ZeroRules"]


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
        given, formula = arguments(node), rule(operator_name(node)).zero
        if callable(formula):
            formula = formula(given)
        if formula is None:
            return NOTHING
        if formula == INPUTS:
            return KEEPS
        if formula == MEASURED:
            return KEEPS if _is_zero_at_zero(node) else NOTHING
        if "/" in formula:
            return self._quotient(*(given[name.strip()] for name in formula.split("/")))
        return sum_at_zero(self._term(term.split("*"), given) for term in formula.split("+"))

    def _term(self, names: list[str], given: Mapping[str, Any]) -> Behaviour | None:
        """Return when a product of arguments is zero; one left out is no factor, and alone no term."""
        operands = [_argument(name.strip(), given) for name in names]
        if len(operands) == 1 and operands[0] is None:
            return ZERO
        return product_at_zero(self._factor(operand) for operand in operands if operand is not None)

    def _factor(self, operand: Any) -> Behaviour | None:
        """Return when an operand is zero."""
        if not isinstance(operand, fx.Node):
            return ZERO if operand == 0 else OTHER
        if operand in self.dependent:
            value = value_of(operand)
            is_number = isinstance(value, Tensor) and not value.is_floating_point() and not value.is_complex()
            return OTHER if is_number and operand.op == "placeholder" else INPUT
        return PARAMETER if self.is_zero_with_parameters(operand) else OTHER

    def _quotient(self, dividend: Any, divisor: Any) -> Behaviour:
        """Return when a quotient is zero: 0 / p is, but a divisor that may be zero too closes nothing."""
        first, second = self._factor(dividend), self._factor(divisor)
        if second is INPUT or second is ZERO or first is not INPUT:
            return NOTHING
        return Behaviour(keeps_zero=True, closes=second is OTHER)


def _argument(name: str, given: Mapping[str, Any]) -> Any:
    """Return an argument, a member of a list of arguments such as `tensors.0`, or the number 1."""
    if name == "1":
        return 1
    argument, _, place = name.partition(".")
    return given[argument][int(place)] if place else given.get(argument)


def _is_zero_at_zero(node: fx.Node) -> bool:
    """Evaluate a call of one operand, with its literals, at zero."""
    given = arguments(node)
    if "pad" in given:  # its widths fit one shape only
        return given["mode"] != "constant" or not given["value"]
    if sum(isinstance(value_of(operand), Tensor) for operand in nodes_in(given)) != 1:
        return False
    assert isinstance(node.target, torch._ops.OpOverload)
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda operand: torch.zeros(1))
    return not node.target(*args, **kwargs).any().item()
