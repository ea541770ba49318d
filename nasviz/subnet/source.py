"""A network as readable, deterministic Python source that needs torch only.

The source has a class with the modules under their paths, a `forward` with one line per vertex, and a
function that reads `weights.safetensors` next to the file.
"""

from __future__ import annotations

import inspect
import math
import operator
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from keyword import iskeyword
from typing import Any

import torch
from torch import fx, nn

from nasviz.errors import ExportError
from nasviz.graph.operators.table import registered
from nasviz.subnet.description import distinct_tensors
from nasviz.subnet.modules import Import, has_rule, import_of, settings_of
from nasviz.subnet.stochastic_depth import StochasticDepth
from nasviz.subnet.surgery import return_node
from nasviz.trace.leaves import BatchNormCall, OutputForm, Position, ScaledDotProductAttention
from nasviz.trace.network import known_description

__all__ = [
    "CHECK",
    "HEAD",
    "LOADER",
    "STOCHASTIC_DEPTH",
    "call_source",
    "home_of",
    "literal",
    "source_of",
    "variable",
]

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


HEAD = '''\
"""A network as Python source. It needs torch only; `load()` reads weights.safetensors beside this file."""

import json
import struct
from collections import OrderedDict, namedtuple
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

aten = torch.ops.aten


def put(root, path, value):
    """Put a module, parameter or buffer under a dotted path."""
    *scopes, name = path.split(".")
    for scope in scopes:
        if scope not in root._modules:
            root.add_module(scope, nn.Module())
        root = root._modules[scope]
    if isinstance(value, nn.Module):
        root.add_module(name, value)
    elif isinstance(value, nn.Parameter):
        root.register_parameter(name, value)
    else:
        root.register_buffer(name, value)
'''

CHECK = '''\
def check(name, value, made_for, sizes):
    """Check kind and shape of an input, since the code of this network holds sizes as numbers.


    Sizes given as text are free; equal texts mean equal sizes. `("length", 2, 16, 1)` is a free size of 2 to
    16 (without an end for None) that the last number divides.
    """
    if torch.jit.is_tracing():
        return
    if isinstance(made_for, dict):
        if not hasattr(value, "keys") or set(value) != set(made_for):
            found = sorted(value) if hasattr(value, "keys") else type(value).__name__
            raise ValueError(f"{name} has {found}; this network was made for {sorted(made_for)}")
        for key, part in made_for.items():
            check(f"{name}[{key!r}]", value[key], part, sizes)
    elif isinstance(made_for, list):
        if len(value) != len(made_for):
            raise ValueError(f"{name} has {len(value)} parts; this network was made for {len(made_for)}")
        for number, part in enumerate(made_for):
            check(f"{name}[{number}]", value[number], part, sizes)
    elif made_for[0] == "object":
        for key, part in made_for[1].items():
            check(f"{name}.{key}", getattr(value, key), part, sizes)
    elif made_for[0] == "value":
        if value != made_for[1]:
            raise ValueError(f"{name} is {value!r}; this network was made for {made_for[1]!r}")
    elif made_for[0] != "anything":
        kind, shape = made_for
        if not isinstance(value, torch.Tensor):
            raise ValueError(f"{name} is a {type(value).__name__}; this network was made for a tensor")
        given = (
            "floating" if value.is_floating_point() else "complex" if value.is_complex()
            else "bool" if value.dtype == torch.bool else "integer"
        )
        fits = len(value.shape) == len(shape)
        for found, size in zip(value.shape, shape):
            if isinstance(size, tuple):
                size, low, high, step = size
                fits = fits and low <= found and (high is None or found <= high) and found % step == 0
            fits = fits and found == (sizes.setdefault(size, found) if isinstance(size, str) else size)
        if given != kind or not fits:
            found = f"{given} {tuple(value.shape)}"
            raise ValueError(f"{name} is {found}; this network was made for {kind} {shape}")
'''

STOCHASTIC_DEPTH = '''\
class StochasticDepth(nn.Module):
    """Drop a branch at random while training, for each sample (row) or for the whole batch."""

    def __init__(self, p, mode="row", scale=True):
        super().__init__()
        self.p, self.mode, self.scale = p, mode, scale

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        shape = [x.shape[0] if self.mode == "row" else 1] + [1] * (x.dim() - 1)
        noise = torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(1 - self.p)
        return x * (noise.div_(1 - self.p) if self.scale and self.p < 1 else noise)
'''

LOADER = '''\
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_weights(path):
    """Read the tensors of a safetensors file by name."""
    content = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            dtype = DTYPES[entry["dtype"]]
            raw = data[start:end]
            flat = torch.frombuffer(raw, dtype=dtype).clone() if raw else torch.empty(0, dtype=dtype)
            tensors[name] = flat.reshape(entry["shape"])
    return tensors


def load(path=Path(__file__).parent / "weights.safetensors"):
    """Return the network with its weights."""
    network = Network()
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    for name, value in read_weights(path).items():
        tensors[name].data = value
    return network


if __name__ == "__main__":
    print(load())
'''


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
