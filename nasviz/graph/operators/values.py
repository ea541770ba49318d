"""What operators make of a channel that holds one number.

A channel that is erased holds zero. Behind an operator that is not zero at zero it holds another number, the
same everywhere, until a norm silences it or a linear map reads it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "Value",
    "average",
    "clamp",
    "divided",
    "elu",
    "gelu",
    "pad",
    "ramp",
    "same",
    "sigmoid",
    "softplus",
    "total",
]

Value = Callable[[float, Mapping[str, Any]], float | None]
"""From the number and the literals of the call; an exception, or no finite number, means not known."""


def same(x: float, given: Mapping[str, Any]) -> float:
    """Return the number: of copies, means, and what takes the largest of several."""
    return x


def average(x: float, given: Mapping[str, Any]) -> float | None:
    """Return what an average pool makes of it; padding is averaged too."""
    padding = given.get("padding")
    return x if isinstance(padding, tuple) and not any(padding) else None


def total(x: float, given: Mapping[str, Any]) -> float | None:
    """Return what a sum makes of it; `lengths` are those of the axes that it sums over."""
    return x * math.prod(given["lengths"]) if min(given["lengths"], default=0) >= 1 else None


def pad(x: float, given: Mapping[str, Any]) -> float | None:
    """Return what a border of copied values makes of it."""
    return x if given.get("mode") in ("reflect", "replicate", "circular") else None


def sigmoid(x: float) -> float:
    """Return the logistic function of `x`."""
    return 1 / (1 + math.exp(-x))


def ramp(x: float) -> float:
    """Return `6 * hardsigmoid(x)`."""
    return min(max(x + 3, 0.0), 6.0)


def softplus(x: float, beta: float = 1.0, threshold: float = 20.0) -> float:
    """Return `softplus` of `x`."""
    return x if x * beta > threshold else math.log1p(math.exp(x * beta)) / beta


def gelu(x: float, given: Mapping[str, Any]) -> float:
    """Return the value of GELU, exact or by tanh."""
    if given["approximate"] == "tanh":
        return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + math.erf(x / math.sqrt(2)))


def elu(x: float, given: Mapping[str, Any]) -> float:
    """Return the value of ELU, CELU and SELU."""
    if x > 0:
        return x * float(given["scale"])
    return float(given["alpha"] * given["scale"]) * math.expm1(x * given["input_scale"])


def clamp(x: float, given: Mapping[str, Any]) -> float:
    """Return the value of a clamp between literals."""
    return float(min(max(x, given.get("min", -math.inf)), given.get("max", math.inf)))


def divided(x: float, given: Mapping[str, Any]) -> float:
    """Return the value of a division by a literal."""
    if "rounding_mode" in given:
        raise ValueError
    return x / float(given["other"])
