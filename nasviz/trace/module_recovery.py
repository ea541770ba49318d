"""Which calls of an exported graph are calls of a module: the user's own, or a leaf that knows the mode.

A call becomes a call of a module only where the module would make exactly this call: every tensor that the
operator reads is the module's own tensor, every literal equals the module's attribute, `forward` is torch's,
and no hook is in the way. Everything else stays a function over the same parameters, which is as exact and
trains as well.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import fx, nn

from nasviz.trace.calls import arguments, is_in_place, is_tensor, operator_name, value_of
from nasviz.trace.export import Program
from nasviz.trace.leaves import BatchNormCall, ModeCall, ScaledDotProductAttention
from nasviz.trace.origin import Origin, find_origins

__all__ = ["Lifted", "ModuleCall", "lift"]


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """A call that the traced network makes through a module."""

    path: str
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Rule:
    """Modules that make a call of this operator, and what of it they hold."""

    classes: tuple[type[nn.Module], ...]
    tensors: tuple[str, ...] = ("weight", "bias")
    literals: tuple[str, ...] = ()
    reads: tuple[str, ...] = ("input",)


_CONVOLUTION = ("stride", "padding", "dilation", "groups")
_RULES = {
    "conv1d": _Rule((nn.Conv1d,), literals=_CONVOLUTION),
    "conv2d": _Rule((nn.Conv2d,), literals=_CONVOLUTION),
    "conv3d": _Rule((nn.Conv3d,), literals=_CONVOLUTION),
    "conv_transpose1d": _Rule((nn.ConvTranspose1d,), literals=(*_CONVOLUTION, "output_padding")),
    "conv_transpose2d": _Rule((nn.ConvTranspose2d,), literals=(*_CONVOLUTION, "output_padding")),
    "conv_transpose3d": _Rule((nn.ConvTranspose3d,), literals=(*_CONVOLUTION, "output_padding")),
    "linear": _Rule((nn.Linear,)),
    "bilinear": _Rule((nn.Bilinear,), reads=("input1", "input2")),
    "batch_norm": _Rule(
        (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
        ("weight", "bias", "running_mean", "running_var"),
        ("momentum", "eps"),
    ),
    "layer_norm": _Rule((nn.LayerNorm,), literals=("normalized_shape", "eps")),
    "group_norm": _Rule((nn.GroupNorm,), literals=("num_groups", "eps")),
    "rms_norm": _Rule((nn.RMSNorm,), ("weight",), ("normalized_shape", "eps")),
    "embedding": _Rule(
        (nn.Embedding,), ("weight",), ("padding_idx", "scale_grad_by_freq", "sparse"), reads=("indices",)
    ),
    "prelu": _Rule((nn.PReLU,), ("weight",), reads=("self",)),
}
_DROPOUTS: dict[str, tuple[type[nn.Module], ...]] = {
    "dropout": (nn.Dropout,),
    "feature_dropout": (nn.Dropout2d, nn.Dropout1d, nn.Dropout3d),
    "alpha_dropout": (nn.AlphaDropout,),
    "feature_alpha_dropout": (nn.FeatureAlphaDropout,),
}
_FLAGS = {"lstm": "train", "gru": "train", "rnn_tanh": "train", "rnn_relu": "train", "rrelu": "training"}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass(frozen=True, slots=True)
class Lifted:
    """A program and what is known of its calls."""

    program: Program
    model: nn.Module
    origins: Mapping[fx.Node, Origin]
    calls: Mapping[fx.Node, ModuleCall]
    """Calls that go through a module."""
    names: Mapping[fx.Node, str]
    """What people read, each name once."""


def lift(program: Program, model: nn.Module) -> Lifted:
    """Find the calls of `program` that are calls of modules, and name all calls.

    Counting the batches seen belongs to the modules: those writes are erased from `program`, in place.
    """
    origins = find_origins(program.graph, model)
    lifter = _Lifter(program, model)
    calls: dict[fx.Node, ModuleCall] = {}
    for node in program.graph.nodes:
        if node.op == "call_function" and (call := lifter.call(node, origins[node])) is not None:
            calls[node] = call
            origins[node] = _inside(call.path, origins[node])
        elif node.target is operator.getitem and node.args[0] in origins:
            origins[node] = origins[node.args[0]]  # of the call that made the list
    for node in lifter.counts:
        if node.args[0].target in lifter.counted:
            program.graph.erase_node(node)
    return Lifted(program, model, origins, calls, _names(program, calls, origins))


def _inside(path: str, origin: Origin) -> Origin:
    """Origin of a call that is the call of the module at `path`; a later trace shall find the same."""
    scope = tuple(around for around in origin.scope if around != path)
    return replace(origin, path=path, scope=scope, is_whole=True)


def _names(
    program: Program, calls: Mapping[fx.Node, ModuleCall], origins: Mapping[fx.Node, Origin]
) -> dict[fx.Node, str]:
    """A name for every call: the module's path, or scope and operator; numbered where it stands already.

    A module of the user's in which there is one call only, such as a resize, gives that call its own path.
    """
    names: dict[fx.Node, str] = {}
    taken: set[str] = set()
    tensors = [n for n in program.graph.nodes if n.op == "call_function" and is_tensor(n)]
    num_calls = Counter(path for node in tensors for path in origins[node].scope)
    for node in program.graph.nodes:
        if node.op != "call_function":
            continue
        origin = origins[node]
        if node in calls:
            name = calls[node].path
        elif isinstance(value_of(node), torch.SymInt):
            name = "batch_size"
        elif (origin.is_whole or num_calls[origin.path] == 1) and operator_name(node) != "getitem":
            name = origin.path
        else:
            name = ".".join(part for part in (origin.path, operator_name(node)) if part)
        unique, number = name, 0
        while unique in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique)
        names[node] = unique
    return names


class _Lifter:
    def __init__(self, program: Program, model: nn.Module) -> None:
        self.program = program
        self.modules = dict(model.named_modules(remove_duplicate=False))
        self.taken = set(self.modules) | set(program.tensors)
        self.owners: dict[int, list[str]] = {}
        for name, tensor in program.tensors.items():
            self.owners.setdefault(id(tensor), []).append(name.rpartition(".")[0])
        self.counts = [n for n in program.graph.nodes if n.op == "call_function" and self._is_count(n)]
        self.counted: set[Any] = set()

    def call(self, node: fx.Node, origin: Origin) -> ModuleCall | None:
        """The call of a module that `node` is, if it is one."""
        name = operator_name(node)
        if name == "stochastic_depth":
            return ModuleCall(origin.path, self.modules[origin.path], node.args)
        given = arguments(node)
        if name in _RULES:
            call = self._own(_RULES[name], name, given, origin)
            if call is None and name == "batch_norm" and self.program.trained:
                call = self._batch_norm(given, origin)
            if call is not None and name == "batch_norm":
                self.counted.add(
                    f"{self._owner(given['running_mean'])}.num_batches_tracked".removeprefix(".")
                )
            return call
        if name in _DROPOUTS and given["train"] is self.program.trained:
            return self._dropout(name, given, origin)
        if name == "scaled_dot_product_attention" and given["dropout_p"] and self.program.trained:
            return self._attention(given, origin)
        if name in _FLAGS and given[_FLAGS[name]] is self.program.trained:
            return self._by_flag(node, name, given, origin)
        return None

    def _by_flag(
        self, node: fx.Node, name: str, given: Mapping[str, Any], origin: Origin
    ) -> ModuleCall | None:
        """A leaf for an operator that draws random numbers in training mode."""
        if name != "rrelu" and not given["dropout"]:
            return None
        operands = {key: value for key, value in given.items() if key != _FLAGS[name]}
        assert callable(node.target)
        return ModuleCall(
            self._free_path(origin, name, ModeCall), ModeCall(node.target, _FLAGS[name]), (), operands
        )

    def _own(self, rule: _Rule, name: str, given: Mapping[str, Any], origin: Origin) -> ModuleCall | None:
        """A call of the module that holds all that the call reads."""
        paths = [origin.path] if origin.is_whole else []
        weight = given[rule.tensors[0]] or given.get("running_mean")
        if isinstance(weight, fx.Node) and weight.op == "get_attr":
            paths += self.owners[id(self.program.tensors[str(weight.target)])]
        for path in paths:
            module = self.modules.get(path) if path else None
            if module is None or not _runs_as_torch_wrote_it(module, rule.classes):
                continue
            holds = all(self._holds(module, tensor, given[tensor]) for tensor in rule.tensors)
            equal = all(_is_equal(getattr(module, text), given[text]) for text in rule.literals)
            if holds and equal and (name != "batch_norm" or self._follows_mode(module, given)):
                return ModuleCall(path, module, tuple(given[operand] for operand in rule.reads))
        return None

    def _holds(self, module: nn.Module, name: str, operand: Any) -> bool:
        """Whether `operand` is the tensor that `module` has under this name."""
        own = getattr(module, name)
        if operand is None or own is None:
            return operand is None and own is None
        return operand.op == "get_attr" and self.program.tensors[str(operand.target)] is own

    def _follows_mode(self, module: nn.Module, given: Mapping[str, Any]) -> bool:
        expected = self.program.trained or module.running_mean is None
        return given["training"] is expected

    def _owner(self, operand: Any) -> str:
        """Path of the module that holds a tensor operand."""
        is_attribute = isinstance(operand, fx.Node) and operand.op == "get_attr"
        return str(operand.target).rpartition(".")[0] if is_attribute else ""

    def _is_count(self, node: fx.Node) -> bool:
        target = node.args[0] if node.args else None
        return (
            is_in_place(node)
            and isinstance(target, fx.Node)
            and target.op == "get_attr"
            and str(target.target).endswith("num_batches_tracked")
        )

    def _batch_norm(self, given: Mapping[str, Any], origin: Origin) -> ModuleCall | None:
        """A leaf for a batch norm that follows the mode, but is not one of torch's own modules."""
        statistics = [given["running_mean"], given["running_var"]]
        if not given["training"] or not all(
            isinstance(s, fx.Node) and s.op == "get_attr" for s in statistics
        ):
            return None
        owner = self._owner(statistics[0])
        count = [n.args[0] for n in self.counts if self._owner(n.args[0]) == owner]
        module = BatchNormCall(given["momentum"], given["eps"])
        operands = (given["input"], given["weight"], given["bias"], *statistics, *count[:1])
        return ModuleCall(self._free_path(origin, "batch_norm", BatchNormCall), module, operands)

    def _dropout(self, name: str, given: Mapping[str, Any], origin: Origin) -> ModuleCall | None:
        module = self.modules.get(origin.path) if origin.path else None
        operand = given["input"]
        if module is not None and _runs_as_torch_wrote_it(module, _DROPOUTS[name]) and module.p == given["p"]:
            if not module.inplace:
                return ModuleCall(origin.path, module, (operand,))
            # The user's module would write to its operand, which others may read once something is erased.
            return ModuleCall(origin.path, type(module)(module.p), (operand,))
        return ModuleCall(self._free_path(origin, "dropout"), _DROPOUTS[name][0](given["p"]), (operand,))

    def _attention(self, given: Mapping[str, Any], origin: Origin) -> ModuleCall:
        path = self._free_path(origin, "attention", ScaledDotProductAttention)
        kwargs = {
            "mask": given["attn_mask"],
            "is_causal": given["is_causal"],
            "scale": given["scale"],
            "enable_gqa": given["enable_gqa"],
        }
        operands = (given["query"], given["key"], given["value"])
        return ModuleCall(path, ScaledDotProductAttention(given["dropout_p"]), operands, kwargs)

    def _free_path(self, origin: Origin, name: str, leaf: type[nn.Module] | None = None) -> str:
        """A path that no module or tensor of the user has; that of a leaf which stands there already."""
        if leaf is not None and isinstance(self.modules.get(origin.path), leaf):
            return origin.path
        prefix = f"{origin.path}." if origin.path else ""
        number = 0
        while (path := f"{prefix}{name}{f'_{number}' if number else ''}") in self.taken:
            number += 1
        self.taken.add(path)
        return path


def _runs_as_torch_wrote_it(module: nn.Module, classes: tuple[type[nn.Module], ...]) -> bool:
    """Whether calling `module` runs torch's own forward of one of `classes`, and nothing else."""
    is_plain = any(isinstance(module, c) and type(module).forward is c.forward for c in classes)
    return is_plain and "forward" not in vars(module) and not any(vars(module).get(hooks) for hooks in _HOOKS)


def _is_equal(attribute: Any, literal: Any) -> bool:
    """Whether a module's attribute is the literal of a call; one number stands for all axes."""
    if attribute is None:
        return literal in (None, -1)
    if isinstance(attribute, str) or isinstance(literal, str):
        return bool(attribute == literal)
    if isinstance(attribute, tuple | list) or isinstance(literal, tuple | list):
        mine = list(attribute) if isinstance(attribute, tuple | list) else [attribute]
        its = list(literal) if isinstance(literal, tuple | list) else [literal]
        length = max(len(mine), len(its))
        return mine * (length // len(mine)) == its * (length // len(its))
    return bool(attribute == literal)
