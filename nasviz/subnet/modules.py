"""Modules and the arguments of calls as data, for the classes that a saved network may hold.

Arguments are numbers, names of nodes, sizes and constants of torch only. A data file must not name modules of
other packages, because building one runs its code. So a network that holds one is saved as Python source and
weights only, and its imports are listed.
"""

from __future__ import annotations

import inspect
import math
import re
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any

import torch
from torch import fx, nn

from nasviz.errors import ExportError, GraphError
from nasviz.subnet.stochastic_depth import StochasticDepth
from nasviz.trace.leaves import BatchNormCall, OutputForm, Position, ScaledDotProductAttention

__all__ = [
    "SETTINGS",
    "Import",
    "build_module",
    "check_identifier",
    "check_path",
    "decode",
    "decode_form",
    "describe_module",
    "encode",
    "encode_form",
    "has_rule",
    "import_of",
    "imports_of",
    "settings_of",
]

_LARGEST = 1 << 33
"""Largest product of a list of sizes."""
_CONSTANTS: dict[type, str] = {
    torch.dtype: "dtype",
    torch.memory_format: "memory_format",
    torch.layout: "layout",
}
_VALUES = {
    name: {
        str(value).removeprefix("torch."): value for value in vars(torch).values() if isinstance(value, kind)
    }
    for kind, name in _CONSTANTS.items()
}
_OPERATOR_NAMES = re.compile(r"__(and|or|xor|lshift|rshift)__(_\d+)?")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ +-]{0,127}")


def check_identifier(name: Any) -> str:
    """Return `name` if it is a safe Python identifier."""
    is_name = isinstance(name, str) and name.isidentifier() and not iskeyword(name)
    if not is_name or not name.isascii() or len(name) > 500:
        raise GraphError(f"{_shown(name)} cannot be the name of a node or argument")
    if name.startswith("__") and not _OPERATOR_NAMES.fullmatch(name):
        raise GraphError(f"{_shown(name)} cannot be the name of a node or argument: it is reserved by Python")
    return str(name)


def check_path(path: Any) -> str:
    """Return `path` if it is a safe path of a module or tensor: parts joined by dots."""
    parts = path.split(".") if isinstance(path, str) else []
    if not parts or not all(_PART.fullmatch(p) and not p.startswith("__") for p in parts):
        raise GraphError(f"{_shown(path)} is not a path of a module or tensor")
    return str(path)


def encode(value: Any) -> Any:
    """Return an argument of a call as JSON data.

    Raises:
        ExportError: Its type is not supported.
    """
    if isinstance(value, fx.Node):
        return {"node": value.name}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, slice):
        return {"slice": [encode(item) for item in (value.start, value.stop, value.step)]}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    for kind, name in _CONSTANTS.items():
        if isinstance(value, kind):
            return {name: str(value).removeprefix("torch.")}
    raise ExportError(f"an argument of type {type(value).__name__} cannot be saved as data")


def decode(data: Any, nodes: Mapping[str, fx.Node]) -> Any:
    """Return the argument that `encode` wrote.

    Raises:
        GraphError: It is not such data, or names a node that does not come before.
    """
    if data is None or isinstance(data, bool | float):
        return data
    if isinstance(data, int):
        if abs(data) >= 1 << 63:
            raise GraphError(f"{data} does not fit 64 bits")
        return data
    if isinstance(data, str):
        if len(data) > 1000 or not data.isprintable():
            raise GraphError(f"a text argument of {len(data)} letters is rejected: {_shown(data)}")
        return data
    if isinstance(data, list):
        return _bounded([decode(item, nodes) for item in data])
    if isinstance(data, dict) and len(data) == 1:
        ((kind, content),) = data.items()
        if kind in _DECODERS:
            return _DECODERS[kind](content, nodes)
    raise GraphError(f"{_shown(data)} is not an argument of a call")


def _bounded(sizes: list[Any]) -> list[Any]:
    numbers = [abs(n) for n in sizes if isinstance(n, int) and n]
    if math.prod(numbers) > _LARGEST and len(numbers) > 1:
        raise GraphError(f"sizes {_shown(sizes)} are rejected: more than {_LARGEST:,} numbers")
    return sizes


def _node(content: Any, nodes: Mapping[str, fx.Node]) -> fx.Node:
    if not isinstance(content, str) or content not in nodes:
        raise GraphError(f"a call reads {_shown(content)}, but no node before it has this name")
    return nodes[content]


def _sequence(content: Any, nodes: Mapping[str, fx.Node]) -> list[Any]:
    if not isinstance(content, list):
        raise GraphError(f"{_shown(content)} is not a list of arguments")
    return _bounded([decode(item, nodes) for item in content])


def _slice(content: Any, nodes: Mapping[str, fx.Node]) -> slice:
    bounds = _sequence(content, nodes)
    if len(bounds) != 3:
        raise GraphError(f"{_shown(content)} is not a slice")
    return slice(*bounds)


def _float(content: Any, nodes: Mapping[str, fx.Node]) -> float:
    if content not in ("inf", "-inf", "nan"):
        raise GraphError(f"{_shown(content)} is not a number")
    return float(content)


def _device(content: Any, nodes: Mapping[str, fx.Node]) -> torch.device:
    if not isinstance(content, str) or not re.fullmatch(r"(cpu|cuda|mps|xpu)(:\d{1,3})?", content):
        raise GraphError(f"{_shown(content)} is not a device")
    return torch.device(content)


def _constant(kind: str) -> Callable[[Any, Mapping[str, fx.Node]], Any]:
    def read(content: Any, nodes: Mapping[str, fx.Node]) -> Any:
        if not isinstance(content, str) or content not in _VALUES[kind]:
            raise GraphError(f"{_shown(content)} is not a {kind} of torch")
        return _VALUES[kind][content]

    return read


_DECODERS: dict[str, Callable[[Any, Mapping[str, fx.Node]], Any]] = {
    "node": _node,
    "tuple": lambda content, nodes: tuple(_sequence(content, nodes)),
    "slice": _slice,
    "float": _float,
    "device": _device,
    **{name: _constant(name) for name in _VALUES},
}


def encode_form(form: Any) -> Any:
    """Return the structure of an output as JSON data.

    Raises:
        ExportError: It holds something other than tensors, numbers, texts, lists, tuples and dicts.
    """
    if isinstance(form, Position):
        return {"position": form.index}
    if isinstance(form, tuple) and hasattr(form, "_fields"):
        return {"namedtuple": [type(form).__name__, list(form._fields), [encode_form(v) for v in form]]}
    if isinstance(form, tuple | list):
        return {type(form).__name__: [encode_form(item) for item in form]}
    if isinstance(form, Mapping):
        kind = "ordered_dict" if isinstance(form, OrderedDict) else "dict"
        return {kind: [[key, encode_form(value)] for key, value in form.items()]}
    if form is None or isinstance(form, bool | int | float | str):
        return {"constant": encode(form)}
    raise ExportError(f"an output of type {type(form).__name__} cannot be saved as data")


def decode_form(data: Any) -> Any:
    """Return the structure that `encode_form` wrote.

    Raises:
        GraphError: It is not such data.
    """
    if not isinstance(data, dict) or len(data) != 1:
        raise GraphError(f"{_shown(data)} is not the structure of an output")
    ((kind, content),) = data.items()
    if kind == "position" and isinstance(content, int) and 0 <= content < 10_000:
        return Position(content)
    if kind == "constant" and (content is None or isinstance(content, bool | int | float | str)):
        return decode(content, {})
    if kind in ("tuple", "list") and isinstance(content, list):
        return {"tuple": tuple, "list": list}[kind](map(decode_form, content))
    if kind in ("dict", "ordered_dict") and isinstance(content, list):
        return {"dict": dict, "ordered_dict": OrderedDict}[kind](map(_entry, content))
    if kind == "namedtuple" and isinstance(content, list) and len(content) == 3:
        name, fields, values = content
        if isinstance(fields, list) and isinstance(values, list) and len(fields) == len(values):
            names = [check_identifier(field) for field in fields]
            return _named(check_identifier(name), names)(*map(decode_form, values))
    raise GraphError(f"{_shown(data)} is not the structure of an output")


def _entry(item: Any) -> tuple[Any, Any]:
    if not isinstance(item, list) or len(item) != 2 or not isinstance(item[0], str | int):
        raise GraphError(f"{_shown(item)} is not an entry of a dict")
    return decode(item[0], {}), decode_form(item[1])


def _named(name: str, fields: list[str]) -> Callable[..., Any]:
    try:
        return namedtuple(name, fields)  # type: ignore[misc]
    except ValueError as error:
        raise GraphError(f"{name} is not a named tuple: {error}") from error


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


_CONVOLUTION = "in_channels out_channels kernel_size stride padding dilation groups bias padding_mode".split()
_NORM = "num_features eps momentum affine track_running_stats".split()
SETTINGS: dict[type[nn.Module], tuple[str, ...]] = {
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), tuple(_CONVOLUTION)),
    **dict.fromkeys(
        (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), (*_CONVOLUTION, "output_padding")
    ),
    nn.Linear: ("in_features", "out_features", "bias"),
    nn.Bilinear: ("in1_features", "in2_features", "out_features", "bias"),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), tuple(_NORM)),
    nn.LayerNorm: ("normalized_shape", "eps", "elementwise_affine", "bias"),
    nn.GroupNorm: ("num_groups", "num_channels", "eps", "affine"),
    nn.RMSNorm: ("normalized_shape", "eps", "elementwise_affine"),
    nn.Embedding: (
        "num_embeddings",
        "embedding_dim",
        "padding_idx",
        "max_norm",
        "norm_type",
        "scale_grad_by_freq",
        "sparse",
    ),
    nn.PReLU: ("num_parameters",),
    **dict.fromkeys(
        (
            nn.Dropout,
            nn.Dropout1d,
            nn.Dropout2d,
            nn.Dropout3d,
            nn.AlphaDropout,
            nn.FeatureAlphaDropout,
        ),
        ("p", "inplace"),
    ),
    ScaledDotProductAttention: ("p",),
    BatchNormCall: ("momentum", "eps"),
    StochasticDepth: ("p", "mode", "scale"),
    OutputForm: ("train_form", "eval_form"),
}
"""Classes that a file may name, and the settings that make an equal module."""

_BY_NAME = {kind.__name__: kind for kind in SETTINGS}


def settings_of(module: nn.Module) -> tuple[type[nn.Module], dict[str, Any]]:
    """Return the class of a module, or its equivalent in a file, with its settings.

    Raises:
        ExportError: The class is not on the list.
    """
    name = type(module).__name__
    if name == "StochasticDepth" and {"p", "mode"} <= set(vars(module)):
        settings = {"p": module.p, "mode": module.mode, "scale": getattr(module, "scale", True)}
        return StochasticDepth, settings
    if name == "DropPath" and "drop_prob" in vars(module):
        scale = getattr(module, "scale_by_keep", True)
        return StochasticDepth, {"p": float(module.drop_prob or 0), "mode": "row", "scale": scale}  # type: ignore[arg-type]
    for kind, names in SETTINGS.items():
        if isinstance(module, kind) and type(module).forward is kind.forward:
            return kind, {key: _setting(module, key) for key in names}
    raise ExportError(
        f"a module of class {name} cannot be saved as data: it is not on the list of classes that a file may"
        " name; export to ONNX instead, or save the state_dict"
    )


def _setting(module: nn.Module, name: str) -> Any:
    return module.bias is not None if name == "bias" else getattr(module, name)


def describe_module(module: nn.Module) -> dict[str, Any]:
    """Return class and settings of a module as JSON data."""
    kind, settings = settings_of(module)
    write = encode_form if kind is OutputForm else encode
    return {"class": kind.__name__, "settings": {key: write(value) for key, value in settings.items()}}


def build_module(data: Any) -> nn.Module:
    """Return the module that `describe_module` wrote, with tensors on the meta device.

    Raises:
        GraphError: The class is not on the list, or the settings do not fit it.
    """
    if not isinstance(data, Mapping) or set(data) != {"class", "settings"}:
        raise GraphError("a module must be given by its class and its settings")
    kind = _BY_NAME.get(data["class"]) if isinstance(data["class"], str) else None
    if kind is None:
        raise GraphError(f"the class {data['class']!r} is not on the list of classes that a file may name")
    settings = data["settings"]
    if not isinstance(settings, Mapping) or set(settings) != set(SETTINGS[kind]):
        raise GraphError(f"{kind.__name__} takes the settings {', '.join(SETTINGS[kind])}")
    read: Callable[[Any], Any] = decode_form if kind is OutputForm else lambda value: decode(value, {})
    values = {key: read(value) for key, value in settings.items()}
    try:
        with torch.device("meta"):
            return kind(**values)
    except (TypeError, ValueError, RuntimeError, OverflowError, AssertionError, ArithmeticError) as error:
        raise GraphError(f"{kind.__name__} cannot be made from its settings: {error}") from error


_PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Import:
    """A class to import, and the arguments that make an equal module."""

    module: str
    name: str
    settings: dict[str, Any]

    @property
    def path(self) -> str:
        """Return the qualified name of the class."""
        return f"{self.module}.{self.name}"


def import_of(module: nn.Module) -> Import:
    """Return how to rebuild a module from its class, according to its attributes.

    Each argument of the constructor is taken from the attribute of the same name; the rebuilt module must
    have the same plain attributes.

    Raises:
        ExportError: The class cannot be imported by name, holds tensors, or does not keep its arguments.

    Examples:
        >>> import_of(nn.Hardtanh(-2.0, 2.0)).settings["max_val"]
        2.0
    """
    kind = type(module)
    words = f"a module of class {kind.__module__}.{kind.__qualname__} has no rule for source, and"
    if kind.__module__ == "__main__" or "." in kind.__qualname__:
        raise ExportError(f"{words} its class cannot be imported by name; define it at the top of a file")
    if any(True for _ in (*module.parameters(), *module.buffers())):
        raise ExportError(f"{words} it holds tensors; export to ONNX instead, or save the state_dict")
    settings: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        value = vars(module).get(name, inspect.Parameter.empty)
        if value is not inspect.Parameter.empty and _is_plain(value):
            settings[name] = value
        elif parameter.default is inspect.Parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            raise ExportError(f"{words} it does not keep its argument {name} as an attribute")
    if _plain_attributes(kind(**settings)) != _plain_attributes(module):
        raise ExportError(f"{words} its attributes do not determine how it was made")
    return Import(kind.__module__, kind.__qualname__, settings)


def imports_of(net: fx.GraphModule) -> tuple[str, ...]:
    """Return the classes that the source of a network imports, because there is no rule for them.

    Raises:
        ExportError: One of them cannot be imported.
    """
    called = {str(node.target) for node in net.graph.nodes if node.op == "call_module"}
    modules = [net.get_submodule(path) for path in sorted(called)]
    return tuple(dict.fromkeys(import_of(module).path for module in modules if not has_rule(module)))


def has_rule(module: nn.Module) -> bool:
    """Return whether a module can be written as data."""
    try:
        settings_of(module)
    except ExportError:
        return False
    return True


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)


def _plain_attributes(module: nn.Module) -> dict[str, Any]:
    return {n: v for n, v in vars(module).items() if n != "training" and _is_plain(v)}
