"""Run nearly equal networks one after the other, and compute once what they have in common.

The first run remembers its calls. Where a later run makes the same call, with weights and operands that are
equal number by number, the result is looked up; where anything differs, it is computed. So comparing a
network with its sub-network costs little more than running the sub-network.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from nasviz.trace.calls import is_in_place, is_random
from nasviz.trace.leaves import BatchNormCall, ScaledDotProductAttention

__all__ = ["Memory", "run"]

_CHEAP = (operator.getitem, operator.mul, operator.add, operator.sub, operator.floordiv, getattr)


@dataclass(frozen=True, slots=True)
class _Call:
    """One call with its result."""

    target: Any
    literals: Any
    operands: tuple[Any, ...]
    module: _Module | None
    value: Any


@dataclass(frozen=True, slots=True)
class _Module:
    """A module as it was when it was called."""

    kind: type[nn.Module]
    settings: tuple[bool, str]
    parameters: tuple[Tensor, ...]
    buffers: tuple[Tensor, ...]

    @classmethod
    def of(cls, module: nn.Module, *, is_kept: bool) -> _Module | None:
        """What there is to compare; `None` where class, settings and tensors do not say all it does."""
        ours = (BatchNormCall, ScaledDotProductAttention)
        if not isinstance(module, ours) and not type(module).__module__.startswith("torch.nn.modules"):
            return None
        buffers = tuple(b.clone() if is_kept else b for b in module.buffers())
        settings = (module.training, module.extra_repr())
        return cls(type(module), settings, tuple(module.parameters()), buffers)


@dataclass
class Memory:
    """Calls of one run by the names of their nodes, up to a size in bytes."""

    room: int = 1 << 30
    calls: dict[str, _Call] = field(default_factory=dict)

    def keep(self, name: str, call: _Call) -> None:
        """Remember a call, as long as there is room for its result."""
        value = call.value
        size = value.numel() * value.element_size() if isinstance(value, Tensor) else 0
        if size <= self.room:
            self.room -= size
            self.calls[name] = call


def run(
    net: fx.GraphModule,
    inputs: Sequence[Any],
    memory: Memory | None = None,
    *,
    remember: bool = False,
    zeros: Collection[str] = (),
) -> Any:
    """What `net` returns for `inputs`.

    Args:
        net: A network; one that writes in place to what it computed is run without looking anything up.
        inputs: Its arguments by position; finite numbers.
        memory: Calls of an earlier run of a similar network, in which nodes have the same names.
        remember: Whether this run adds its calls to `memory`.
        zeros: Parameters that are known to be zero: what they are to multiply is not multiplied.
    """
    if memory is None or not _is_functional(net):
        return net(*inputs)
    return _Run(net, memory, remember, frozenset(zeros)).run(*inputs)


def _is_functional(net: fx.GraphModule) -> bool:
    """Whether no call writes to a value that was computed before."""
    if any(getattr(module, "inplace", False) for module in net.modules()):
        return False
    return all(
        node.target in _CHEAP or (isinstance(node.target, torch._ops.OpOverload) and not is_in_place(node))
        for node in net.graph.nodes
        if node.op in ("call_function", "call_method")
    )


class _Run(fx.Interpreter):
    """Interprets a graph node by node, with a look at what is known."""

    def __init__(self, net: fx.GraphModule, memory: Memory, remember: bool, zeros: frozenset[str]) -> None:
        super().__init__(net)
        self.extra_traceback = False
        self.memory = memory
        self.remember = remember
        self.zeros = zeros

    def run_node(self, n: fx.Node) -> Any:
        """The value of one node."""
        if n.op not in ("call_function", "call_module") or is_random(n):
            return super().run_node(n)
        operands = n.all_input_nodes
        places = {operand: f"%{place}" for place, operand in enumerate(operands)}
        literals = fx.map_arg((n.args, n.kwargs), places.__getitem__)
        values = tuple(self.env[operand] for operand in operands)
        module = self.module.get_submodule(str(n.target)) if n.op == "call_module" else None
        known = self.memory.calls.get(n.name)
        if known is not None and _is_same(known, n.target, literals, values, module):
            return known.value
        now = _Module.of(module, is_kept=True) if module is not None and self.remember else None
        value = self._product_with_zeros(n, values, module)
        if value is None:
            value = super().run_node(n)
        if self.remember and (module is None or now is not None):
            self.memory.keep(n.name, _Call(n.target, literals, values, now, value))
        return value

    def _product_with_zeros(
        self, node: fx.Node, values: tuple[Any, ...], module: nn.Module | None
    ) -> Tensor | None:
        """Zeros, where all that a linear map holds is known to be zero."""
        if not isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return None
        names = [f"{node.target}.{name}" for name, _ in module.named_parameters()]
        if not self.zeros or not self.zeros.issuperset(names):
            return None
        x, weight = values[0].to("meta"), module.weight.to("meta")
        if isinstance(module, nn.Linear):
            shape = functional.linear(x, weight).shape
        elif module.padding_mode == "zeros":
            conv = (functional.conv1d, functional.conv2d, functional.conv3d)[weight.dim() - 3]
            geometry: Any = (module.stride, module.padding, module.dilation, module.groups)
            shape = conv(x, weight, None, *geometry).shape
        else:
            return None
        zeros: Tensor = values[0].new_zeros(shape)
        return zeros


def _is_same(
    known: _Call, target: Any, literals: Any, values: tuple[Any, ...], module: nn.Module | None
) -> bool:
    """Whether a call is the one that is known: nothing in it differs."""
    if known.target != target or known.literals != literals or len(known.operands) != len(values):
        return False
    if not all(map(_are_equal, known.operands, values)):
        return False
    if module is None or known.module is None:
        return module is None and known.module is None
    now = _Module.of(module, is_kept=False)
    return (
        now is not None
        and (now.kind, now.settings) == (known.module.kind, known.module.settings)
        and _are_equal(known.module.parameters, now.parameters)
        and _are_equal(known.module.buffers, now.buffers)
    )


def _are_equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(_are_equal, one, other))
    return type(one) is type(other) and not isinstance(one, Tensor) and bool(one == other)
