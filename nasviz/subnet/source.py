"""A network as readable, deterministic Python source that needs torch only.

The source has a class with the modules under their paths, a `forward` with one line per vertex, and a
function that reads `weights.safetensors` next to the file.
"""

from __future__ import annotations

import inspect
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from keyword import iskeyword
from typing import Any

from torch import fx, nn

from nasviz.subnet.codegen_rules import call_source, home_of, literal, variable
from nasviz.subnet.description import distinct_tensors
from nasviz.subnet.erase import return_node
from nasviz.subnet.modules import settings_of
from nasviz.subnet.stochastic_depth import StochasticDepth
from nasviz.subnet.templates import CHECK, HEAD, LOADER, STOCHASTIC_DEPTH
from nasviz.subnet.third_party import Import, has_rule, import_of
from nasviz.trace.inputs import known_description
from nasviz.trace.leaves import BatchNormCall, OutputForm, Position, ScaledDotProductAttention

__all__ = ["source_of"]

_INLINE = (OutputForm, ScaledDotProductAttention, BatchNormCall)
"""Leaves that are written as code where they are called."""

_PER_AXIS = ("kernel_size", "stride", "padding", "dilation", "output_padding")


def source_of(net: fx.GraphModule) -> str:
    """Return the Python source of `net`."""
    modules = {
        str(node.target): net.get_submodule(str(node.target))
        for node in net.graph.nodes
        if node.op == "call_module"
    }
    kept = {path: module for path, module in modules.items() if not isinstance(module, _INLINE)}
    tuples = _named_tuples(modules)
    imported = {path: import_of(module) for path, module in kept.items() if not has_rule(module)}
    homes = dict.fromkeys(home for node in net.graph.nodes if (home := home_of(node)) is not None)
    parts = [_head(imported.values(), homes)]
    if tuples:
        parts.append(
            "".join(f"{t.__name__} = namedtuple({t.__name__!r}, {list(t._fields)!r})\n" for t in tuples)
        )
    if any(settings_of(m)[0] is StochasticDepth for path, m in kept.items() if path not in imported):
        parts.append(STOCHASTIC_DEPTH)
    taken = known_description(net.graph)
    if taken:
        parts.append(CHECK)
    constructor = "\n".join(f"        {line}" for line in _constructor(net, kept))
    forward = "\n".join(f"        {line}" for line in (*_checks(net, taken), *_forward(net)))
    arguments = ", ".join(["self", *(variable(n) for n in net.graph.nodes if n.op == "placeholder")])
    parts.append(
        f'class Network(nn.Module):\n    """{_summary(net)}"""\n\n'
        f"    def __init__(self):\n        super().__init__()\n{constructor}\n\n"
        f"    def forward({arguments}):\n{forward}\n"
    )
    parts.append(LOADER)
    return "\n\n".join(parts)


def _checks(net: fx.GraphModule, taken: Mapping[str, Any] | None) -> list[str]:
    """Return lines that check the shapes of the inputs."""
    if not taken:
        return []
    nodes = [node for node in net.graph.find_nodes(op="placeholder") if str(node.target) in taken]
    return [
        "sizes = {}",
        *(f"check({str(n.target)!r}, {variable(n)}, {taken[str(n.target)]!r}, sizes)" for n in nodes),
    ]


def _head(imported: Iterable[Import], homes: Iterable[str]) -> str:
    """Return the first lines, with what is imported from other packages."""
    found = {item.path: item.module for item in imported}
    operators = {home: home for home in homes}
    if not found and not operators:
        return HEAD
    words = " ".join(
        [f"It also imports {', '.join(found)}, which no rule could write down."] * bool(found)
        + [f"It also imports {', '.join(operators)} for operators of its own."] * bool(operators)
    )
    lines = "".join(f"import {name}\n" for name in dict.fromkeys((*found.values(), *operators)))
    head = HEAD.replace("It needs torch only;", f"It needs torch. {words}\n\n", 1)
    return head.replace("import torch\n", f"import torch\n{lines}", 1)


def _summary(net: fx.GraphModule) -> str:
    count = sum(parameter.numel() for parameter in net.parameters())
    name = re.sub(r"\W", "", type(net).__name__)
    return f"Sub-network of {name}: {count:,} parameters."


def _named_tuples(modules: Mapping[str, nn.Module]) -> list[Any]:
    found: dict[str, Any] = {}
    for module in modules.values():
        if isinstance(module, OutputForm):
            for form in (module.train_form, module.eval_form):
                if hasattr(form, "_fields"):
                    found[type(form).__name__] = type(form)
    return list(found.values())


def _constructor(net: fx.GraphModule, modules: Mapping[str, nn.Module]) -> list[str]:
    """Return lines that create modules, free tensors and aliases."""
    lines = []
    paths: dict[int, str] = {}
    for path, module in modules.items():
        known = paths.setdefault(id(module), path)
        lines.append(
            f"put(self, {path!r}, {_made(module) if known == path else f'self.get_submodule({known!r})'})"
        )
    tensors, aliases = distinct_tensors(net)
    for name, tensor in tensors.items():
        if name.rpartition(".")[0] not in modules:
            shape = ", ".join(str(size) for size in tensor.shape)
            made = f"torch.empty(({shape}{',' if tensor.dim() == 1 else ''}), dtype={tensor.dtype})"
            is_parameter = isinstance(tensor, nn.Parameter)
            lines.append(f"put(self, {name!r}, {f'nn.Parameter({made})' if is_parameter else made})")
        if isinstance(tensor, nn.Parameter) and not tensor.requires_grad:
            lines.append(f"self.get_parameter({name!r}).requires_grad_(False)")
    for name, first in aliases.items():
        kind = "parameter" if isinstance(tensors[first], nn.Parameter) else "buffer"
        lines.append(f"put(self, {name!r}, self.get_{kind}({first!r}))")
    return lines or ["pass"]


def _made(module: nn.Module) -> str:
    """Return the constructor call: required arguments by position, others only if not the default."""
    if not has_rule(module):
        imported = import_of(module)
        words = ", ".join(f"{key}={literal(value)}" for key, value in imported.settings.items())
        return f"{imported.path}({words})"
    kind, settings = settings_of(module)
    parameters = inspect.signature(kind).parameters
    arguments = []
    for key, value in settings.items():
        default, value = parameters[key].default, _short(key, value)
        if default is inspect.Parameter.empty:
            arguments.append(literal(value))
        elif value != default:
            arguments.append(f"{key}={literal(value)}")
    return f"{'' if kind is StochasticDepth else 'nn.'}{kind.__name__}({', '.join(arguments)})"


def _short(key: str, value: Any) -> Any:
    """Return one number for a setting of a convolution that is equal along all axes."""
    is_even = key in _PER_AXIS and isinstance(value, tuple) and len(set(value)) == 1
    return value[0] if is_even else value


def _forward(net: fx.GraphModule) -> list[str]:
    lines: list[str] = []
    last = return_node(net)
    for node in net.graph.nodes:
        if node is last or node.op in ("placeholder", "output"):
            continue
        if node.op == "call_module" and isinstance(net.get_submodule(str(node.target)), _INLINE):
            lines += _leaf(node, net.get_submodule(str(node.target)))
        else:
            lines.append(f"{variable(node)} = {_value(node)}")
    if last.op == "output":
        return [*lines, f"return {literal(last.args[0])}"]
    form = net.get_submodule(str(last.target))
    trained, evaluated = (_returned(f, last.args) for f in (form.train_form, form.eval_form))
    if trained == evaluated:
        return [*lines, f"return {trained}"]
    return [*lines, "if self.training:", f"    return {trained}", f"return {evaluated}"]


def _value(node: fx.Node) -> str:
    if node.op == "get_attr":
        return _place(str(node.target))
    if node.op == "call_module":
        arguments = [literal(a) for a in node.args] + [f"{k}={literal(v)}" for k, v in node.kwargs.items()]
        return f"{_place(str(node.target), is_module=True)}({', '.join(arguments)})"
    return call_source(node)


def _place(path: str, *, is_module: bool = False) -> str:
    """Return `self.stem.conv`, or a look-up by path if a part is not an identifier."""
    if all(part.isidentifier() and not iskeyword(part) for part in path.split(".")):
        return f"self.{path}"
    if is_module:
        return f"self.get_submodule({path!r})"
    scope, _, attribute = path.rpartition(".")
    return f"getattr(self.get_submodule({scope!r}), {attribute!r})"


def _leaf(node: fx.Node, module: nn.Module) -> list[str]:
    arguments = [literal(argument) for argument in node.args]
    if isinstance(module, ScaledDotProductAttention):
        rest = [
            f"attn_mask={literal(value)}" if key == "mask" else f"{key}={literal(value)}"
            for key, value in node.kwargs.items()
        ]
        rest.append(f"dropout_p={literal(module.p)} if self.training else 0.0")
        return [f"{variable(node)} = F.scaled_dot_product_attention({', '.join(arguments + rest)})"]
    assert isinstance(module, BatchNormCall)
    x, weight, bias, mean, variance, *count = arguments
    lines = [f"if self.training:\n            {count[0]}.add_(1)"] if count and count[0] != "None" else []
    literals = f"self.training, {literal(module.momentum)}, {literal(module.eps)}"
    return [*lines, f"{variable(node)} = F.batch_norm({x}, {mean}, {variance}, {weight}, {bias}, {literals})"]


def _returned(form: Any, tensors: tuple[Any, ...]) -> str:
    """Return the source of an output with its tensors by name."""
    if isinstance(form, Position):
        return literal(tensors[form.index])
    if hasattr(form, "_fields"):
        return f"{type(form).__name__}({', '.join(_returned(item, tensors) for item in form)})"
    if isinstance(form, tuple | list):
        items = ", ".join(_returned(item, tensors) for item in form)
        return f"({items}{',' if len(form) == 1 else ''})" if isinstance(form, tuple) else f"[{items}]"
    if isinstance(form, Mapping):
        items = ", ".join(f"{key!r}: {_returned(value, tensors)}" for key, value in form.items())
        return f"OrderedDict({{{items}}})" if isinstance(form, OrderedDict) else f"{{{items}}}"
    return repr(form)
