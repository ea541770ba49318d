"""A network as a sequence of calls that can be run repeatedly, with some of its tensors replaced.

Nearly equal networks run one after the other, and common calls are computed once: the first run stores its
calls. If a later run makes the same call, with weights and operands that are equal value by value, the result
is looked up, else it is computed. Comparing a network with its sub-network thus costs little more than
running the sub-network.
"""

from __future__ import annotations

import copy
import operator
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _NormBase
from torch.utils import _pytree as pytree

from nasviz.subnet.zero import deepcopy_memo, named_tensors, shallow_copy
from nasviz.trace.export import random_calls
from nasviz.trace.leaves import BatchNormCall, ScaledDotProductAttention

__all__ = ["CallCache", "Program", "ProgramStep", "Sizes", "run"]

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
    nodes, random = list(net.graph.nodes), random_calls(net.graph)
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
            node.op in ("call_function", "call_module") and node not in random,
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
    targets = {node.target for node in net.graph.nodes if node.op in ("call_function", "call_method")}
    return all(
        target in _PURE or (isinstance(target, torch._ops.OpOverload) and not target._schema.is_mutable)
        for target in targets
    )


aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class _CachedCall:
    """One call with its result, and the mode and buffers of the module before the call."""

    step: ProgramStep
    operands: tuple[Any, ...]
    is_training: bool
    buffers: tuple[Tensor, ...]
    value: Any


@dataclass
class CallCache:
    """Calls of one run by node name, up to a size in bytes."""

    capacity: int = 1 << 30
    calls: dict[str, _CachedCall] = field(default_factory=dict)

    def add(self, name: str, call: _CachedCall) -> None:
        """Store a call if there is capacity for its result."""
        value = call.value
        size = value.numel() * value.element_size() if isinstance(value, Tensor) else 0
        if size <= self.capacity:
            self.capacity -= size
            self.calls[name] = call


def run(
    program: Program,
    inputs: Sequence[Any],
    cache: CallCache | None = None,
    *,
    store: bool = False,
) -> Any:
    """Return the outputs of a network for `inputs`.

    Values that only linear maps with zero weights read are not computed: their shape determines the result.

    Args:
        program: Calls of the network; a network that writes in place to computed values is run without cache.
        inputs: Positional arguments; finite numbers.
        cache: Calls of an earlier run of a similar network with the same node names.
        store: Whether this run adds its calls to `cache`.
    """
    if cache is None or not program.is_functional:
        return program.net(*inputs)
    try:
        return _run(program, inputs, cache, store=store)
    except _NoShapeError:
        return _run(program.compute_all_values(), inputs, cache, store=store)


class _NoShapeError(Exception):
    """An operator cannot infer the shape of its result without computing it."""


def _run(program: Program, inputs: Sequence[Any], cache: CallCache, *, store: bool) -> Any:
    known, given = cache.calls, iter(inputs)
    sizes = program.sizes_for(inputs)
    # Cached sizes make even the shapes of unread values unnecessary.
    is_sized = all(step.node.name in sizes for step in program.steps if step.is_zero)
    values: dict[fx.Node, Any] = {}
    for step in program.steps:
        node = step.node
        if node.op == "placeholder":
            values[node] = next(given, *node.args[:1])
        elif node.op == "get_attr":
            values[node] = program.attribute(node)
        elif node.op == "output":
            return fx.map_arg(node.args[0], values.__getitem__)
        elif step.is_shape_only:
            values[node] = None if is_sized else _shape_only(step, values)
        else:
            operands = tuple(values[operand] for operand in step.operands)
            call = known.get(node.name) if step.is_repeatable else None
            if step.is_zero:
                if node.name not in sizes:
                    sizes[node.name] = _size_of_result(step, operands[0])
                shape, dtype = sizes[node.name]
                values[node] = torch.zeros(shape, dtype=dtype, device=step.parameters[0].device)
            elif call is not None and _is_same(call, step, operands):
                values[node] = call.value
            elif store and step.is_repeatable and (step.module is None or step.about is not None):
                before = _mode_and_buffers(step)
                values[node] = _call(step, step.module, values)
                cache.add(node.name, _CachedCall(step, operands, *before, values[node]))
            else:
                values[node] = _call(step, step.module, values)
        for read in step.frees:
            del values[read]
    raise AssertionError("a graph ends in its output")


def _mode_and_buffers(step: ProgramStep) -> tuple[bool, tuple[Tensor, ...]]:
    """Return mode and buffers of a module before a call that may change them."""
    if step.module is None:
        return False, ()
    is_training = step.module.training
    return is_training, tuple(b.clone() if is_training else b.detach() for b in step.buffers)


def _call(step: ProgramStep, module: nn.Module | None, values: Mapping[fx.Node, Any]) -> Any:
    """Return the result of a call."""
    args, kwargs = fx.map_arg((step.node.args, step.node.kwargs), values.__getitem__)
    if module is not None:
        return module(*args, **kwargs)
    target: Any = step.node.target
    return target(*args, **kwargs)


def _shape_only(step: ProgramStep, values: Mapping[fx.Node, Any]) -> Any:
    """Return the result of a call on the meta device."""
    try:
        shapes = {operand: pytree.tree_map(_meta_value, values[operand]) for operand in step.operands}
        if (known := _known_shape(step, shapes)) is not None:
            return known
        return _call(step, None if step.module is None else _on_meta(step.module), shapes)
    except Exception as error:  # operators without a meta kernel fail in many ways
        raise _NoShapeError from error


def _known_shape(step: ProgramStep, shapes: Mapping[fx.Node, Any]) -> Tensor | None:
    """Return the result of a call whose shape equals that of an operand or of a linear map, else nothing.

    Shape inference by torch is slow for norms, GELU and attention, which are decomposed first.
    """
    operands: list[Tensor] = [shapes[operand] for operand in step.operands]
    if not operands or not all(isinstance(x, Tensor) and x.is_floating_point() for x in operands):
        return None
    first, target = operands[0], step.node.target
    if isinstance(step.module, nn.Linear):
        return first.new_empty((*first.shape[:-1], step.module.out_features))
    if step.module is not None:
        return first if isinstance(step.module, nn.LayerNorm | nn.GroupNorm | _NormBase) else None
    if target is aten.scaled_dot_product_attention.default:
        is_plain = len(operands) >= 3 and len({x.shape[:-2] for x in operands[:3]}) == 1
        return first.new_empty((*first.shape[:-1], operands[2].shape[-1])) if is_plain else None
    is_pointwise = isinstance(target, torch._ops.OpOverload) and torch.Tag.pointwise in target.tags
    return first if is_pointwise and all(x.shape == first.shape for x in operands) else None


def _on_meta(module: nn.Module) -> nn.Module:
    """Return a copy of a module with tensors on the meta device, without hooks that may read values."""
    bare = copy.copy(module)
    for hooks in ("_forward_hooks", "_forward_pre_hooks"):
        setattr(bare, hooks, OrderedDict())
    for table in ("_parameters", "_buffers"):
        setattr(bare, table, {name: _meta_value(t) for name, t in getattr(module, table).items()})
    bare._modules = {name: child and _on_meta(child) for name, child in module._modules.items()}
    return bare


def _meta_value(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    bare = value.detach().to("meta")
    return nn.Parameter(bare, requires_grad=False) if isinstance(value, nn.Parameter) else bare


def _size_of_result(step: ProgramStep, operand: Tensor) -> tuple[torch.Size, torch.dtype]:
    """Return shape and dtype of the result of a linear map."""
    module: Any = step.module
    x, weight = operand.to("meta"), module.weight.to("meta")
    if isinstance(module, nn.Linear):
        return functional.linear(x, weight).shape, weight.dtype
    conv = (functional.conv1d, functional.conv2d, functional.conv3d)[weight.dim() - 3]
    geometry: Any = (module.stride, module.padding, module.dilation, module.groups)
    return conv(x, weight, None, *geometry).shape, weight.dtype


def _is_same(known: _CachedCall, step: ProgramStep, operands: tuple[Any, ...]) -> bool:
    """Return whether a call equals the stored one in every respect."""
    was = known.step
    if was.node.target != step.node.target or was.literals != step.literals:
        return False
    if was.about != step.about or not _are_equal(known.operands, operands):
        return False
    if step.module is None or was.module is None:
        return step.module is was.module
    return (
        step.about is not None
        and known.is_training == step.module.training
        and _are_equal(was.parameters, step.parameters)
        and _are_equal(known.buffers, step.buffers)
    )


def _are_equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(_are_equal, one, other))
    return type(one) is type(other) and not isinstance(one, Tensor) and bool(one == other)
