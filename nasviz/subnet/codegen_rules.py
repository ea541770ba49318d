"""Source of aten calls in usual Python: `a + b`, `torch.cat`, `F.relu`; other operators by full name."""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch import fx

from nasviz.errors import ExportError
from nasviz.graph.operators.registration import registered

__all__ = ["call_source", "home_of", "literal", "variable"]

_FUNCTIONAL = frozenset(
    (
        "relu gelu silu hardswish hardsigmoid leaky_relu mish softplus relu6 "
        "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d "
        "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d linear"
    ).split()
)
"""Operators whose arguments have the same order in `torch.nn.functional`."""
_TORCH = frozenset("cat flatten permute transpose sigmoid tanh chunk squeeze unsqueeze".split())
"""Operators whose arguments have the same order in `torch`."""
_INFIX = {
    "add.Tensor": "+",
    "sub.Tensor": "-",
    "mul.Tensor": "*",
    "div.Tensor": "/",
    "matmul.default": "@",
}
_TAKEN = frozenset(
    "self check sizes torch nn F aten OrderedDict namedtuple float slice getattr Network put".split()
)
"""Names that a generated `forward` uses itself."""
_ARITHMETIC = {operator.mul: "*", operator.add: "+", operator.sub: "-", operator.floordiv: "//"}


def variable(node: fx.Node) -> str:
    """Return the name of the variable that holds the value of a node."""
    name = str(node.target) if node.op == "placeholder" else node.name
    return f"{name}_" if name in _TAKEN else name


def literal(value: Any) -> str:
    """Return the source of an argument: names of nodes, numbers, sizes, constants of torch."""
    if isinstance(value, fx.Node):
        return variable(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, slice):
        return f"slice({literal(value.start)}, {literal(value.stop)}, {literal(value.step)})"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, torch.device):
        return f"torch.device({str(value)!r})"
    return repr(value)


def home_of(node: fx.Node) -> str | None:
    """Return the module that defines the operator of a call, where that was registered; `None` for others.

    Raises:
        ExportError: The module cannot be imported by name.
    """
    if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
        return None
    found = registered(node.target._schema.name)
    if found is not None and found.module in ("", "__main__"):
        raise ExportError(
            f"Python source cannot import what defines {found.name}: define it in a module of its own, or"
            " name its module to nasviz.register_operator"
        )
    return None if found is None else found.module


def call_source(node: fx.Node) -> str:
    """Return the source of an operator call.

    Raises:
        ExportError: It is not an aten operator, so torch alone cannot run the line.

    Examples:
        >>> graph = fx.Graph()
        >>> x = graph.placeholder("x")
        >>> call_source(graph.call_function(torch.ops.aten.add.Tensor, (x, 1)))
        'x + 1'
    """
    arguments = [literal(argument) for argument in node.args]
    keywords = [f"{key}={literal(value)}" for key, value in node.kwargs.items()]
    if node.target is operator.getitem:
        return f"{arguments[0]}[{arguments[1]}]"
    if node.target in _ARITHMETIC:
        return f" {_ARITHMETIC[node.target]} ".join(arguments)  # type: ignore[index]
    if home_of(node) is not None:
        return f"torch.ops.{node.target}({', '.join(arguments + keywords)})"
    if not isinstance(node.target, torch._ops.OpOverload) or node.target.namespace != "aten":
        raise ExportError(
            f"{node.target} cannot be written as Python source: it is not an operator of torch; register it"
            " with nasviz.register_operator, export to ONNX, or save the state_dict"
        )
    name = str(node.target).removeprefix("aten.")
    packet = name.split(".")[0]
    if name in _INFIX and not keywords:
        return f" {_INFIX[name]} ".join(arguments)
    if packet == "sym_size":
        return f"{arguments[0]}.shape[{arguments[1]}]"
    if packet == "reshape":
        return f"{arguments[0]}.reshape({arguments[1]})"
    if packet in _FUNCTIONAL:
        return f"F.{packet}({', '.join(arguments + keywords)})"
    if packet in _TORCH:
        return f"torch.{packet}({', '.join(arguments + keywords)})"
    return f"aten.{name}({', '.join(arguments + keywords)})"
