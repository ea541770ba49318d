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
    is_zero: bool = False
    """Whether it is a linear map of zeros without a bias but zeros: whatever it reads, zeros come out."""
    is_shadow: bool = False
    """Whether only the shape of its value is asked for, since linear maps of zeros alone read it."""


class Program:
    """The calls of a network in order.

    Modules and tensors are those of the network, all but what is replaced: modules that hold a replaced
    tensor are copied. So two programs of one network share nearly everything.

    Args:
        net: The network; it must not change its graph or settings while the program is in use.
        fresh: Tensors to take in the place of those of these names, and of all that are tied to them.
        silent: Parameters that are known to be zero.
        like: A program of this network, or of a copy of it: what is known of the graph is taken from there.
    """

    def __init__(
        self,
        net: fx.GraphModule,
        fresh: Mapping[str, Tensor] = MappingProxyType({}),
        silent: Collection[str] = (),
        like: Program | None = None,
    ) -> None:
        self._sizes: Sizes = {} if like is None else like._sizes
        self.is_functional: bool = _is_functional(net) if like is None else like.is_functional
        tensors = named_tensors(net) if fresh else {}
        if fresh and not (self.is_functional and all(isinstance(tensors[n], nn.Parameter) for n in fresh)):
            net, fresh = shallow_copy(net, fresh), {}
        self.net = net
        self._memo = memo_of(tensors, fresh) if fresh else {}
        self._replaced = {id(tensors[name]) for name in fresh}
        self._modules: dict[str, nn.Module] = {}
        self._plain: list[Step] = []
        """The steps of the network itself."""
        if self.is_functional:
            self._plain = like._plain if like is not None and like.net is net else list(_plain_steps(net))
        self.steps = list(self._steps(frozenset(silent)))

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
        """The plain steps, with what is replaced and what is known to be zero."""
        zero = {step.node for step in self._plain if silent and _is_zero(step, silent)}
        shadows = _only_read_by(zero, [step.node for step in self._plain]) if zero else set()
        for step in self._plain:
            module = self._own(step)
            if module is not step.module:
                tensors = _tensors_of(module, "_parameters"), _tensors_of(module, "_buffers")
                step = replace(step, module=module, parameters=tensors[0], buffers=tensors[1])
            if step.node in zero or step.node in shadows:
                step = replace(step, is_zero=step.node in zero, is_shadow=step.node in shadows)
            yield step

    def _own(self, step: Step) -> nn.Module | None:
        """The module that is called, or a copy that holds the tensors which replace its own."""
        if step.module is None or self._replaced.isdisjoint(map(id, step.parameters)):
            return step.module
        path = str(step.node.target)
        if path not in self._modules:
            self._modules[path] = copy.deepcopy(step.module, dict(self._memo))
        return self._modules[path]


def _plain_steps(net: fx.GraphModule) -> Iterator[Step]:
    """The calls of a network as it is."""
    nodes = list(net.graph.nodes)
    last = {operand: node for node in nodes for operand in node.all_input_nodes}
    frees: dict[fx.Node, list[fx.Node]] = {}
    for operand, node in last.items():
        frees.setdefault(node, []).append(operand)
    for node in nodes:
        operands = tuple(node.all_input_nodes)
        places = {operand: f"%{place}" for place, operand in enumerate(operands)}
        module = net.get_submodule(str(node.target)) if node.op == "call_module" else None
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
        )


def _is_zero(step: Step, silent: frozenset[str]) -> bool:
    """Whether a call is a linear map of which all is known to be zero."""
    module = step.module
    if not isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) or module._modules:
        return False
    is_padded = isinstance(module, nn.Linear) or module.padding_mode == "zeros"
    own = (name for name, parameter in module._parameters.items() if parameter is not None)
    return is_padded and all(f"{step.node.target}.{name}" in silent for name in own)


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
