"""Arguments of calls as JSON and back: numbers, names of nodes, sizes and constants of torch only."""

from __future__ import annotations

import math
import re
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Mapping
from keyword import iskeyword
from typing import Any

import torch
from torch import fx

from nasviz.errors import ExportError, GraphError
from nasviz.trace.leaves import Position

__all__ = ["check_identifier", "check_path", "decode", "decode_form", "encode", "encode_form"]

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
