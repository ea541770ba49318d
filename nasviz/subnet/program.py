"""A network as a sequence of calls that can be run repeatedly, with some of its tensors replaced."""

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

from nasviz.subnet.zero import deepcopy_memo, named_tensors, shallow_copy
from nasviz.trace.calls import is_in_place, is_random
from nasviz.trace.leaves import BatchNormCall, ScaledDotProductAttention

__all__ = ["Program", "ProgramStep", "Sizes"]

_PURE = (operator.getitem, operator.mul, operator.add, operator.sub, operator.floordiv, getattr)


Sizes = dict[Any, dict[str, tuple[torch.Size, torch.dtype]]]


@dataclass(frozen=True, slots=True)
class ProgramStep:
    """One node of a graph with everything that its call needs."""

    node: fx.Node
    operands: tuple[fx.Node, ...]
    literals: Any
    """Arguments with the index of an operand in place of each node."""
    module: nn.Module | None
    about: tuple[type[nn.Module], str] | None
    """Class and settings of the module; `None` if they and its tensors do not determine what it computes."""
    parameters: tuple[Tensor, ...]
    buffers: tuple[Tensor, ...]
    is_repeatable: bool
    """Whether equal operands give equal results."""
    frees: tuple[fx.Node, ...]
    """Nodes whose values are not used afterwards."""
    is_zero: bool = False
    """Whether it is a linear map with zero weights and zero or no bias, so that its result is zero."""
    is_shape_only: bool = False
    """Whether only the shape of its value is needed, since only linear maps with zero weights read it."""


class Program:
    """Calls of a network in order.

    Modules and tensors are those of the network, except for replaced tensors: modules that hold one are
    copied. So two programs of one network share nearly everything.

    Args:
        net: Network; its graph and settings must not change while the program is in use.
        fresh: Replacements of tensors by name; tied tensors are replaced too.
        silent: Names of parameters that are known to be zero.
        like: Program of this network or of a copy of it, to reuse what is known of the graph.
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
        self._memo = deepcopy_memo(tensors, fresh) if fresh else {}
        self._replaced = {id(tensors[name]) for name in fresh}
        self._modules: dict[str, nn.Module] = {}
        self._plain: list[ProgramStep] = []
        """Steps of the network itself."""
        if self.is_functional:
            self._plain = like._plain if like is not None and like.net is net else list(_plain_steps(net))
        self.steps = list(self._steps(frozenset(silent)))

    def modules(self) -> Iterator[nn.Module]:
        """Yield all modules of the network, and the copies."""
        yield from self.net.modules()
        yield from self._modules.values()

    def attribute(self, node: fx.Node) -> Any:
        """Return the value that a `get_attr` node reads."""
        value: Any = self.net
        for part in str(node.target).split("."):
            value = getattr(value, part)
        return self._memo.get(id(value), value) if id(value) in self._replaced else value

    def sizes_for(self, inputs: Sequence[Any]) -> dict[str, tuple[torch.Size, torch.dtype]]:
        """Return the known result sizes of zero linear maps for inputs of these shapes."""
        leaves = pytree.tree_leaves(list(inputs))
        key = tuple((leaf.shape, leaf.dtype) if isinstance(leaf, Tensor) else None for leaf in leaves)
        return self._sizes.setdefault(key, {})

    def compute_all_values(self) -> Program:
        """Compute all values from now on, and return the program."""
        self.steps = [replace(step, is_shape_only=False) for step in self.steps]
        return self

    def _steps(self, silent: frozenset[str]) -> Iterator[ProgramStep]:
        """Yield the plain steps, with replaced modules and known zeros."""
        zero = {step.node for step in self._plain if silent and _is_zero(step, silent)}
        shape_only = _only_read_by(zero, [step.node for step in self._plain]) if zero else set()
        for step in self._plain:
            module = self._own(step)
            if module is not step.module:
                tensors = _tensors_of(module, "_parameters"), _tensors_of(module, "_buffers")
                step = replace(step, module=module, parameters=tensors[0], buffers=tensors[1])
            if step.node in zero or step.node in shape_only:
                step = replace(step, is_zero=step.node in zero, is_shape_only=step.node in shape_only)
            yield step

    def _own(self, step: ProgramStep) -> nn.Module | None:
        """Return the called module, or a copy that holds the replacements of its tensors."""
        if step.module is None or self._replaced.isdisjoint(map(id, step.parameters)):
            return step.module
        path = str(step.node.target)
        if path not in self._modules:
            self._modules[path] = copy.deepcopy(step.module, dict(self._memo))
        return self._modules[path]


def _plain_steps(net: fx.GraphModule) -> Iterator[ProgramStep]:
    """Yield the calls of a network without replacements."""
    nodes = list(net.graph.nodes)
    last = {operand: node for node in nodes for operand in node.all_input_nodes}
    frees: dict[fx.Node, list[fx.Node]] = {}
    for operand, node in last.items():
        frees.setdefault(node, []).append(operand)
    for node in nodes:
        operands = tuple(node.all_input_nodes)
        places = {operand: f"%{place}" for place, operand in enumerate(operands)}
        module = net.get_submodule(str(node.target)) if node.op == "call_module" else None
        yield ProgramStep(
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


def _is_zero(step: ProgramStep, silent: frozenset[str]) -> bool:
    """Return whether a call is a linear map with only zero parameters."""
    module = step.module
    if not isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) or module._modules:
        return False
    is_padded = isinstance(module, nn.Linear) or module.padding_mode == "zeros"
    own = (name for name, parameter in module._parameters.items() if parameter is not None)
    return is_padded and all(f"{step.node.target}.{name}" in silent for name in own)


def _only_read_by(zero: set[fx.Node], nodes: Sequence[fx.Node]) -> set[fx.Node]:
    """Return the calls whose values go into `zero` and nowhere else."""
    found: set[fx.Node] = set()
    for node in reversed(nodes):
        is_call = node.op in ("call_function", "call_module") and node not in zero
        if is_call and node.users and all(user in zero or user in found for user in node.users):
            found.add(node)
    return found


def _tensors_of(module: nn.Module | None, table: str) -> tuple[Tensor, ...]:
    """Return parameters or buffers; faster than torch's own listing for the usual module without children."""
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
    """Return whether no call writes to a computed value."""
    if any(getattr(module, "inplace", False) for module in net.modules()):
        return False
    return all(
        node.target in _PURE or (isinstance(node.target, torch._ops.OpOverload) and not is_in_place(node))
        for node in net.graph.nodes
        if node.op in ("call_function", "call_method")
    )
