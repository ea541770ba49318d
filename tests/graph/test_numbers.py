"""Constants are followed through activations as torch computes them."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

import nasviz
from nasviz.graph.operators.table import BUILT_IN
from nasviz.graph.operators.zeros import number_after
from tests.subnet.networks import Call

CALLS = {
    "relu": torch.relu,
    "relu6": functional.relu6,
    "sigmoid": torch.sigmoid,
    "hardsigmoid": functional.hardsigmoid,
    "hardswish": functional.hardswish,
    "silu": functional.silu,
    "mish": functional.mish,
    "gelu": functional.gelu,
    "gelu by tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "elu": lambda x: functional.elu(x, 0.7),
    "celu": lambda x: functional.celu(x, 0.7),
    "selu": functional.selu,
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.3),
    "softplus": lambda x: functional.softplus(x, 2, 1),
    "hardtanh": lambda x: functional.hardtanh(x, -0.2, 0.3),
    "clamp": lambda x: x.clamp(-0.2, 0.3),
    "clamp from below": lambda x: x.clamp(min=1),
    "clamp_min": lambda x: torch.clamp_min(x, 0.2),
    "clamp_max": lambda x: torch.clamp_max(x, 0.2),
    "tanh": torch.tanh,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "sin": torch.sin,
    "cos": torch.cos,
    "erf": torch.erf,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "reciprocal": torch.reciprocal,
    "square": torch.square,
    "abs": torch.abs,
    "neg": torch.neg,
    "add": lambda x: torch.add(x, 0.3, alpha=2),
    "sub": lambda x: torch.sub(x, 0.3, alpha=2),
    "rsub": lambda x: torch.rsub(x, 0.3, alpha=2),
    "from a number": lambda x: 1 - x,
    "mul": lambda x: x * 3,
    "div": lambda x: x / 3,
    "pow": lambda x: x**3,
    "a fractional power": lambda x: x**0.5,
}
UNKNOWN = {
    "rounded division": lambda x: torch.div(x, 0.3, rounding_mode="floor"),
    "a number to the power of it": lambda x: 2**x,
    "dropout": lambda x: functional.dropout(x, 0.5),
}


def test_every_function_is_tried() -> None:
    known = {name for name, rule in BUILT_IN.items() if rule.acts_on == "numbers" and rule.value}
    assert known - {"alias", "clone", "contiguous", "detach", "to", "_to_copy", "type_as"} <= CALLS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_number_becomes_what_torch_makes_of_it(name: str) -> None:
    example = torch.full((2, 3), 0.5, dtype=torch.float64)
    (vertex,) = nasviz.trace(Call(CALLS[name]), example).trace_graph
    known = 0
    for number in (-0.7, 0.0, 0.5, 2.0, 30.0):
        wanted = CALLS[name](torch.tensor(number, dtype=torch.float64)).item()
        got = number_after(vertex, number)
        if got is not None:
            assert got == pytest.approx(wanted, rel=1e-14, abs=1e-15)
            known += 1
        else:
            assert name in ("celu", "selu") or not math.isfinite(wanted)
    assert known or name in ("celu", "selu")


@pytest.mark.parametrize("name", UNKNOWN)
def test_nothing_is_claimed_where_nothing_is_known(name: str) -> None:
    example = torch.full((2, 3), 0.5, dtype=torch.float64)
    (vertex,) = nasviz.trace(Call(UNKNOWN[name]), example).trace_graph
    assert number_after(vertex, 0.5) is None
