"""What activations make of one number: constants that channels hold, followed from operator to operator.

A channel that is erased holds zero. Behind an operator that is not zero at zero it holds another number, the
same everywhere, until a norm silences it or a linear map reads it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from nasviz.graph.trace_graph import Attribute, Vertex

__all__ = ["follows_numbers", "keeps_numbers", "number_after"]

_Function = Callable[[float, Mapping[str, Any]], float]
_KEEPING = (
    "max_pool1d max_pool2d max_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
    "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d upsample_nearest1d upsample_nearest2d "
    "upsample_nearest3d upsample_bilinear2d upsample_linear1d upsample_trilinear3d alias clone contiguous "
    "detach to _to_copy type_as"
).split()
"""Operators that find a constant channel as they leave it; max pooling pads with nothing."""
_AVERAGES = ("avg_pool1d", "avg_pool2d", "avg_pool3d")


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _ramp(x: float) -> float:
    """`6 * hardsigmoid(x)`."""
    return min(max(x + 3, 0.0), 6.0)


def _softplus(x: float, beta: float = 1.0, threshold: float = 20.0) -> float:
    return x if x * beta > threshold else math.log1p(math.exp(x * beta)) / beta


def _gelu(x: float, given: Mapping[str, Any]) -> float:
    if given["approximate"] == "tanh":
        return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + math.erf(x / math.sqrt(2)))


def _elu(x: float, given: Mapping[str, Any]) -> float:
    if x > 0:
        return x * float(given["scale"])
    return float(given["alpha"] * given["scale"]) * math.expm1(x * given["input_scale"])


def _clamp(x: float, given: Mapping[str, Any]) -> float:
    return float(min(max(x, given.get("min", -math.inf)), given.get("max", math.inf)))


def _divided(x: float, given: Mapping[str, Any]) -> float:
    if "rounding_mode" in given:
        raise ValueError
    return x / float(given["other"])


_FUNCTIONS: dict[str, _Function] = {
    "relu": lambda x, _: max(x, 0.0),
    "relu6": lambda x, _: min(max(x, 0.0), 6.0),
    "sigmoid": lambda x, _: _sigmoid(x),
    "hardsigmoid": lambda x, _: _ramp(x) / 6,
    "hardswish": lambda x, _: x * _ramp(x) / 6,
    "silu": lambda x, _: x * _sigmoid(x),
    "mish": lambda x, _: x * math.tanh(_softplus(x)),
    "gelu": _gelu,
    "elu": _elu,
    "leaky_relu": lambda x, given: x if x > 0 else x * given["negative_slope"],
    "softplus": lambda x, given: _softplus(x, given["beta"], given["threshold"]),
    "hardtanh": lambda x, given: min(max(x, given["min_val"]), given["max_val"]),
    "clamp": _clamp,
    "clamp_min": lambda x, given: max(x, given["min"]),
    "clamp_max": lambda x, given: min(x, given["max"]),
    "tanh": lambda x, _: math.tanh(x),
    "exp": lambda x, _: math.exp(x),
    "expm1": lambda x, _: math.expm1(x),
    "log": lambda x, _: math.log(x),
    "log1p": lambda x, _: math.log1p(x),
    "sin": lambda x, _: math.sin(x),
    "cos": lambda x, _: math.cos(x),
    "erf": lambda x, _: math.erf(x),
    "sqrt": lambda x, _: math.sqrt(x),
    "rsqrt": lambda x, _: 1 / math.sqrt(x),
    "reciprocal": lambda x, _: 1 / x,
    "square": lambda x, _: x * x,
    "abs": lambda x, _: abs(x),
    "neg": lambda x, _: -x,
    "add": lambda x, given: x + given["alpha"] * given["other"],
    "sub": lambda x, given: x - given["alpha"] * given["other"],
    "rsub": lambda x, given: given["other"] - given["alpha"] * x,
    "mul": lambda x, given: x * given["other"],
    "div": _divided,
    "pow": lambda x, given: math.pow(x, given["exponent"]),
}


def follows_numbers(vertex: Vertex) -> bool:
    """Whether the operator makes of a number another one, by its literals alone."""
    return vertex.operator in _FUNCTIONS and not vertex.parameters and not vertex.buffers


def keeps_numbers(vertex: Vertex) -> bool:
    """Whether a channel that is one number throughout comes out as it went in."""
    if vertex.operator in _AVERAGES:
        padding = vertex.attributes.get("padding")
        return isinstance(padding, tuple) and not any(padding)
    return vertex.operator in _KEEPING and vertex.dtype.startswith("float")


def number_after(vertex: Vertex, number: float) -> float | None:
    """What the operator makes of one number; `None` where that is not known, or no finite number.

    Examples:
        >>> number_after(Vertex("a", "a", "sigmoid", ("x",)), 0.0)
        0.5
        >>> number_after(Vertex("a", "a", "log", ("x",)), 0.0) is None
        True
    """
    if not follows_numbers(vertex) or not vertex.dtype.startswith("float"):
        return None
    try:
        after = _FUNCTIONS[vertex.operator](number, _given(vertex.attributes))
    except (KeyError, ValueError, TypeError, ZeroDivisionError, OverflowError):
        return None
    return float(after) if isinstance(after, int | float) and math.isfinite(after) else None


def _given(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    return {name: value for name, value in attributes.items() if value is not None}
