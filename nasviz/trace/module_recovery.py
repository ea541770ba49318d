"""Recovery of module calls in an exported graph: the user's own modules, or leaves that follow the mode.

An operator call becomes a module call only if the module would make exactly this call: every tensor that the
operator reads is the module's own, every literal equals the module's attribute, `forward` is torch's, and no
hook is registered. All other calls stay functions of the same parameters: just as exact and as trainable.
The origin of a call, the modules around it and the line of the user's code, is kept.
"""

from __future__ import annotations

import operator
import re
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from nasviz.trace.export import (
    Program,
    arguments,
    is_in_place,
    is_tensor,
    is_user_file,
    operator_name,
    value_of,
)
from nasviz.trace.leaves import BatchNormCall, ModeCall, ScaledDotProductAttention

__all__ = [
    "ORIGIN",
    "ModuleCall",
    "Origin",
    "RecoveredProgram",
    "error_location",
    "find_origins",
    "innermost_user_line",
    "recover_modules",
    "source_line",
]

ORIGIN = "nasviz_origin"
"""Key of `node.meta` under which a traced network keeps the origin of its nodes."""

_FRAME = re.compile(r'File "(?P<path>[^"]+)", line (?P<line>\d+)')


@dataclass(frozen=True, slots=True)
class Origin:
    """Origin of one call."""

    path: str = ""
    """Path of the innermost module around the call."""
    scope: tuple[str, ...] = ()
    """Paths of the modules around it, outermost first, without the root."""
    is_whole: bool = False
    """Whether that module is a single module of torch.nn, so that the call is the module."""
    source: str = ""
    """`file:line` of the user's code."""


def find_origins(graph: fx.Graph, model: nn.Module) -> dict[fx.Node, Origin]:
    """Return the origin of every call; for a traced `model`, the origins recorded by its first trace."""
    modules = dict(model.named_modules(remove_duplicate=False))
    by_name: dict[str, Origin] = {}
    by_path: dict[str, Origin] = {}
    if isinstance(model, fx.GraphModule):
        for before in model.graph.nodes:
            if isinstance(origin := before.meta.get(ORIGIN), Origin):
                by_name[before.name] = origin
                if before.op == "call_module":
                    by_path[str(before.target)] = origin
    origins = {}
    for node in graph.nodes:
        names = [getattr(source, "name", "") for source in node.meta.get("from_node") or ()]
        paths = [_without_call_number(str(e[0])) for e in (node.meta.get("nn_module_stack") or {}).values()]
        known = [by_name[name] for name in names if name in by_name]
        known += [by_path[path] for path in paths if path in by_path]
        origins[node] = known[0] if known else _origin(paths, modules, node.meta.get("stack_trace"))
    return origins


def _origin(paths: list[str], modules: dict[str, nn.Module], stack_trace: Any) -> Origin:
    scope = tuple(dict.fromkeys(path for path in paths if path and path in modules))
    if not scope:
        return Origin(source=source_line(stack_trace))
    module = modules[scope[-1]]
    is_whole = type(module).__module__.startswith("torch.nn.") and not module._modules
    return Origin(scope[-1], scope[:-1] if is_whole else scope, is_whole, source_line(stack_trace))


def _without_call_number(path: str) -> str:
    """Return the path without the suffix `@1` that export adds for the second call of a module."""
    return path.split("@")[0]


def source_line(stack_trace: Any) -> str:
    """Return the innermost frame outside torch and this package, as `file:line`.

    Examples:
        >>> source_line('File "/home/me/net.py", line 7, in forward')
        'net.py:7'
    """
    for frame in reversed(list(_FRAME.finditer(stack_trace or ""))):
        if is_user_file(path := frame["path"]):
            return f"{Path(path).name}:{frame['line']}"
    return ""


def error_location(error: BaseException, model: nn.Module) -> str:
    """Return the innermost module and line of user code of an error, as a suffix for messages."""
    line, path = innermost_user_line(error), _module_of_error(error, model)
    where = ([f"in {path}"] if path else []) + ([f"at {line}"] if line else [])
    return f" ({', '.join(where)})" if where else ""


def _module_of_error(error: BaseException, model: nn.Module) -> str:
    """Return path and class of the innermost part of `model` that raised an error; empty if none."""
    paths = {id(module): path for path, module in model.named_modules()}
    found, position = "", error.__traceback__
    while position is not None:
        owner = position.tb_frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and paths.get(id(owner)):
            found = f"{paths[id(owner)]}, a {type(owner).__name__}"
        position = position.tb_next
    return found


def innermost_user_line(error: BaseException) -> str:
    """Return the innermost line outside torch and this package that an error passed, with its text."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if source_line(f'File "{frame.filename}", line {frame.lineno}'):
            return f"{Path(frame.filename).name}:{frame.lineno}: {frame.line}"
    return ""


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """A call that the traced network makes through a module."""

    path: str
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Rule:
    """Modules that make a call of one operator, and the arguments that they hold."""

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
class RecoveredProgram:
    """A program, and the modules, origins and names of its calls."""

    program: Program
    model: nn.Module
    origins: Mapping[fx.Node, Origin]
    calls: Mapping[fx.Node, ModuleCall]
    """Calls that go through a module."""
    names: Mapping[fx.Node, str]
    """Unique readable names."""


def recover_modules(program: Program, model: nn.Module) -> RecoveredProgram:
    """Find the calls of `program` that are module calls, and name all calls.

    Updates of `num_batches_tracked` are part of those modules, so they are erased from `program`, in place.
    """
    origins = find_origins(program.graph, model)
    recovery = _ModuleRecovery(program, model)
    calls: dict[fx.Node, ModuleCall] = {}
    for node in program.graph.nodes:
        if node.op == "call_function" and (call := recovery.call(node, origins[node])) is not None:
            calls[node] = call
            origins[node] = _inside(call.path, origins[node])
        elif node.target is operator.getitem and node.args[0] in origins:
            origins[node] = origins[node.args[0]]  # origin of the call that made the list
    for node in recovery.counts:
        if node.args[0].target in recovery.counted:
            program.graph.erase_node(node)
    return RecoveredProgram(program, model, origins, calls, _names(program, calls, origins))


def _inside(path: str, origin: Origin) -> Origin:
    """Return the origin of a call of the module at `path`, such that a later trace finds the same."""
    scope = tuple(around for around in origin.scope if around != path)
    return replace(origin, path=path, scope=scope, is_whole=True)


def _names(
    program: Program, calls: Mapping[fx.Node, ModuleCall], origins: Mapping[fx.Node, Origin]
) -> dict[fx.Node, str]:
    """Name every call by its module's path, or by scope and operator; numbered if already taken.

    The only call inside a user's module, such as a resize, gets the path of that module.
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
        elif isinstance(value := value_of(node), torch.SymInt | torch.SymFloat | torch.SymBool):
            name = "batch_size" if value.node.expr.free_symbols <= program.batch else "size"
        elif (origin.is_whole or num_calls[origin.path] == 1) and operator_name(node) != "getitem":
            name = origin.path
        else:
            plain = operator_name(node).rpartition("::")[2]
            name = ".".join(part for part in (origin.path, plain) if part)
        unique, number = name, 0
        while unique in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique)
        names[node] = unique
    return names


class _ModuleRecovery:
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
        """Return the module call that `node` is, if any."""
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
        """Return a leaf for an operator that draws random numbers in training mode."""
        if name != "rrelu" and not given["dropout"]:
            return None
        operands = {key: value for key, value in given.items() if key != _FLAGS[name]}
        assert callable(node.target)
        return ModuleCall(
            self._free_path(origin, name, ModeCall), ModeCall(node.target, _FLAGS[name]), (), operands
        )

    def _own(self, rule: _Rule, name: str, given: Mapping[str, Any], origin: Origin) -> ModuleCall | None:
        """Return a call of the module that holds all other operands of the call."""
        paths = [origin.path] if origin.is_whole else []
        weight = given[rule.tensors[0]] or given.get("running_mean")
        if isinstance(weight, fx.Node) and weight.op == "get_attr":
            paths += self.owners[id(self.program.tensors[str(weight.target)])]
        for path in paths:
            module = self.modules.get(path) if path else None
            if module is None or not _has_torch_forward(module, rule.classes):
                continue
            holds = all(self._holds(module, tensor, given[tensor]) for tensor in rule.tensors)
            equal = all(_is_equal(getattr(module, text), given[text]) for text in rule.literals)
            if holds and equal and (name != "batch_norm" or self._follows_mode(module, given)):
                return ModuleCall(path, module, tuple(given[operand] for operand in rule.reads))
        return None

    def _holds(self, module: nn.Module, name: str, operand: Any) -> bool:
        """Return whether `operand` is the tensor that `module` has under this name."""
        own = getattr(module, name)
        if operand is None or own is None:
            return operand is None and own is None
        return operand.op == "get_attr" and self.program.tensors[str(operand.target)] is own

    def _follows_mode(self, module: nn.Module, given: Mapping[str, Any]) -> bool:
        expected = self.program.trained or module.running_mean is None
        return given["training"] is expected

    def _owner(self, operand: Any) -> str:
        """Return the path of the module that holds a tensor operand."""
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
        """Return a leaf for a batch norm that follows the mode but is not one of torch's own modules."""
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
        if module is not None and _has_torch_forward(module, _DROPOUTS[name]) and module.p == given["p"]:
            if not module.inplace:
                return ModuleCall(origin.path, module, (operand,))
            # In-place dropout would overwrite its operand, which others may read once something is erased.
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
        """Return an unused path, or the path of a leaf of this class that is already there."""
        if leaf is not None and isinstance(self.modules.get(origin.path), leaf):
            return origin.path
        prefix = f"{origin.path}." if origin.path else ""
        number = 0
        while (path := f"{prefix}{name}{f'_{number}' if number else ''}") in self.taken:
            number += 1
        self.taken.add(path)
        return path


def _has_torch_forward(module: nn.Module, classes: tuple[type[nn.Module], ...]) -> bool:
    """Return whether calling `module` runs torch's own forward of one of `classes`, and nothing else."""
    is_plain = any(isinstance(module, c) and type(module).forward is c.forward for c in classes)
    return is_plain and "forward" not in vars(module) and not any(vars(module).get(hooks) for hooks in _HOOKS)


def _is_equal(attribute: Any, literal: Any) -> bool:
    """Return whether a module's attribute equals the literal of a call; one number covers all axes."""
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
