"""A network taken apart into its calls, ready to be run several times, some of its tensors replaced."""

from __future__ import annotations

import copy
import operator
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from nasviz.subnet.zero import memo_of, named_tensors, shallow_copy
from nasviz.trace.calls import is_in_place, is_random
from nasviz.trace.leaves import BatchNormCall, ScaledDotProductAttention

__all__ = ["Program", "Sizes", "Step"]

_CHEAP = (operator.getitem, operator.mul, operator.add, operator.sub, operator.floordiv, getattr)


Sizes = dict[Any, dict[str, tuple[torch.Size, torch.dtype]]]


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a graph with all that its call needs."""

    node: fx.Node
    operands: tuple[fx.Node, ...]
    literals: Any
    """Its arguments with the number of an operand in the place of each node."""
    module: nn.Module | None
    about: tuple[type[nn.Module], str] | None
    """Class and settings of the module; `None` where these and its tensors do not say all it does."""
    parameters: tuple[Tensor, ...]
    buffers: tuple[Tensor, ...]
    is_repeatable: bool
    """Whether equal operands give equal results."""
    frees: tuple[fx.Node, ...]
    """Nodes whose values nobody reads afterwards."""
    is_zero: bool
    """Whether it is a linear map of zeros without a bias but zeros: whatever it reads, zeros come out."""
    is_shadow: bool
    """Whether only the shape of its value is asked for, since linear maps of zeros alone read it."""


class Program:
    """The calls of a network in order.

    Modules and tensors are those of the network, all but what is replaced: modules that hold a replaced
    tensor are copied. So two programs of one network share nearly everything.

    Args:
        net: The network; it must not change its graph or settings while the program is in use.
        fresh: Tensors to take in the place of those of these names, and of all that are tied to them.
        silent: Parameters that are known to be zero.
        sizes: Of what linear maps of zeros give, by inputs and by node; programs of one network share it.
    """

    def __init__(
        self,
        net: fx.GraphModule,
        fresh: Mapping[str, Tensor] = MappingProxyType({}),
        silent: Collection[str] = (),
        sizes: Sizes | None = None,
    ) -> None:
        self._sizes: Sizes = {} if sizes is None else sizes
        self.is_functional = _is_functional(net)
        buffers = dict(net.named_buffers(remove_duplicate=False))
        if fresh and (not self.is_functional or buffers.keys() & fresh.keys()):
            net, fresh = shallow_copy(net, fresh), {}
        self.net = net
        self._memo = memo_of(net, fresh) if fresh else {}
        self._replaced = (
            {id(tensor) for name, tensor in named_tensors(net).items() if name in fresh} if fresh else set()
        )
        self._modules: dict[str, nn.Module] = {}
        self.steps = list(self._steps(frozenset(silent))) if self.is_functional else []

    def modules(self) -> Iterator[nn.Module]:
        """All modules of the network, and the copies."""
        yield from self.net.modules()
        yield from self._modules.values()

    def attribute(self, node: fx.Node) -> Any:
        """What a `get_attr` node reads."""
        value: Any = self.net
        for part in str(node.target).split("."):
            value = getattr(value, part)
        return self._memo.get(id(value), value) if id(value) in self._replaced else value

    def sizes_for(self, inputs: Sequence[Any]) -> dict[str, tuple[torch.Size, torch.dtype]]:
        """What is known so far of linear maps of zeros when the network reads inputs of these shapes."""
        leaves = pytree.tree_leaves(list(inputs))
        key = tuple((leaf.shape, leaf.dtype) if isinstance(leaf, Tensor) else None for leaf in leaves)
        return self._sizes.setdefault(key, {})

    def without_shadows(self) -> Program:
        """The same, all values computed."""
        self.steps = [replace(step, is_shadow=False) for step in self.steps]
        return self

    def _steps(self, silent: frozenset[str]) -> Iterator[Step]:
        nodes = list(self.net.graph.nodes)
        last = {operand: node for node in nodes for operand in node.all_input_nodes}
        frees: dict[fx.Node, list[fx.Node]] = {}
        for operand, node in last.items():
            frees.setdefault(node, []).append(operand)
        modules = {node: self._module(str(node.target)) for node in nodes if node.op == "call_module"}
        zero = {node for node, module in modules.items() if silent and _is_zero(module, node, silent)}
        shadows = _only_read_by(zero, nodes) if zero else set()
        for node in nodes:
            operands = tuple(node.all_input_nodes)
            places = {operand: f"%{place}" for place, operand in enumerate(operands)}
            module = modules.get(node)
            yield Step(
                node,
                operands,
                fx.map_arg((node.args, node.kwargs), places.__getitem__),
                module,
                _about(module) if module is not None else None,
                _tensors_of(module, "_parameters"),
                _tensors_of(module, "_buffers"),
                node.op in ("call_function", "call_module") and not is_random(node),
                tuple(frees.get(node, ())),
                node in zero,
                node in shadows,
            )

    def _module(self, path: str) -> nn.Module:
        """The module of that path, or a copy that holds the tensors which replace its own."""
        module = self.net.get_submodule(path)
        if not self._replaced or self._replaced.isdisjoint(map(id, _tensors_of(module, "_parameters"))):
            return module
        if path not in self._modules:
            self._modules[path] = copy.deepcopy(module, dict(self._memo))
        return self._modules[path]


def _is_zero(module: nn.Module, node: fx.Node, silent: frozenset[str]) -> bool:
    """Whether a module is a linear map of which all is known to be zero."""
    if not isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return False
    is_padded = isinstance(module, nn.Linear) or module.padding_mode == "zeros"
    return is_padded and all(f"{node.target}.{name}" in silent for name, _ in module.named_parameters())


def _only_read_by(zero: set[fx.Node], nodes: Sequence[fx.Node]) -> set[fx.Node]:
    """Calls whose values go into `zero` and nowhere else."""
    found: set[fx.Node] = set()
    for node in reversed(nodes):
        is_call = node.op in ("call_function", "call_module") and node not in zero
        if is_call and node.users and all(user in zero or user in found for user in node.users):
            found.add(node)
    return found


def _tensors_of(module: nn.Module | None, table: str) -> tuple[Tensor, ...]:
    """Parameters or buffers, quicker than torch lists them: most modules that are called have no parts."""
    if module is None:
        return ()
    own = (t for t in getattr(module, table).values() if t is not None)
    return (*own, *(t for child in module._modules.values() for t in _tensors_of(child, table)))


def _about(module: nn.Module) -> tuple[type[nn.Module], str] | None:
    ours = (BatchNormCall, ScaledDotProductAttention)
    if not isinstance(module, ours) and not type(module).__module__.startswith("torch.nn.modules"):
        return None
    return type(module), module.extra_repr()


def _is_functional(net: fx.GraphModule) -> bool:
    """Whether no call writes to a value that was computed before."""
    if any(getattr(module, "inplace", False) for module in net.modules()):
        return False
    return all(
        node.target in _CHEAP or (isinstance(node.target, torch._ops.OpOverload) and not is_in_place(node))
        for node in net.graph.nodes
        if node.op in ("call_function", "call_method")
    )
