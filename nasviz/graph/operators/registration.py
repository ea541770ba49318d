"""Operators of other libraries: `nasviz.register_operator` gives one a rule.

A rule is plain data. It travels with the trace graph (`Vertex.declaration`), so that a graph reads the same
where the library that registered the operator is not installed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, TypeVar

from nasviz.errors import ArgumentError, GraphError, InvalidSettingError
from nasviz.graph.operators.rules import INPUTS, OperatorRule, Role
from nasviz.graph.operators.table import RULES

__all__ = ["Registered", "declared", "load_entry_points", "register_operator", "registered"]

GROUP = "nasviz.operators"
"""Entry points whose modules register operators when they are imported."""
T = TypeVar("T")
_ROLES = (Role.STEM, Role.NORM, Role.ACCESSORY, Role.SHAPE, Role.MULTIPLICATIVE, Role.SELECTING)


@dataclass(frozen=True, slots=True)
class Registered:
    """An operator of another library, with what exports need of it."""

    name: str
    """As `library::operator`."""
    declaration: str
    """Its rule as JSON."""
    module: str
    """Module that defines it; Python source of a network imports it."""
    decomposition: Callable[..., Any] | None
    onnx: Callable[..., Any] | None


_REGISTERED: dict[str, Registered] = {}


def register_operator(
    operator: Any = None,
    /,
    *,
    role: str = "accessory",
    zero: str | None = INPUTS,
    axes: str | None = None,
    acts_on: str = "",
    arguments: tuple[str, ...] | None = None,
    sizes: Mapping[str, str] | None = None,
    decomposition: Callable[..., Any] | None = None,
    onnx: Callable[..., Any] | None = None,
    module: str | None = None,
) -> Any:
    """Give an operator of `torch.library` a rule, so that nasviz can remove, slice and export it.

    Used as a decorator above `torch.library.custom_op`, or called with an operator or its name,
    `library::operator`. Registering a name again replaces its rule.

    Args:
        operator: What `torch.library.custom_op` returns, an operator of `torch.ops`, or a name.
        role: What it is in a dependency graph: `stem`, `norm`, `accessory`, `shape`, `multiplicative` or
            `selecting`.
        zero: When its result is exactly zero: a sum of products of its arguments, such as `x * gain + bias`;
            `inputs` where all that it reads is zero; `None` where it is not.
        axes: How the axes of its tensor arguments correspond to those of its result, argument by argument:
            `n c ..., c -> n c ...`. Axes of one name correspond index by index; a name that the result lacks
            is summed over; `*` stands for axes along which nothing can be cut, and so does a name that
            begins with a capital letter.
        acts_on: `numbers` for an operator that acts on each number by itself, `channels` for one that acts on
            each index of axis 1 by itself; needs no `axes`.
        arguments: Names of its tensor arguments in order; read from its schema where `operator` has one.
        sizes: Arguments that count an axis, with its name in `axes`: they shrink with it.
        decomposition: A function of the same arguments made of torch's own operators; ONNX files have it.
        onnx: A translation for `torch.onnx`, by onnxscript; it goes before `decomposition`.
        module: Module that defines it, which the Python source of a saved network imports; read from
            `operator` where it is a `torch.library.custom_op`.

    Raises:
        ArgumentError: `operator` is no operator, or an operator of torch itself.
        InvalidSettingError: A part of the rule is not understood.

    Examples:
        >>> register_operator("docs::swish", zero="x", acts_on="numbers", arguments=("x",))
        'docs::swish'
    """
    settings: dict[str, Any] = {
        "role": role,
        "zero": zero,
        "axes": axes,
        "acts_on": acts_on,
        "arguments": arguments,
        "sizes": dict(sizes or {}),
    }

    def register(found: T) -> T:
        name = _name(found)
        given = settings if arguments is not None else settings | {"arguments": _tensor_arguments(found)}
        declaration = json.dumps(given, sort_keys=True)
        try:
            RULES[name] = _rule(given)
        except (TypeError, ValueError) as error:
            raise InvalidSettingError(f"the rule of {name} cannot be used: {error}") from error
        home = module or str(getattr(getattr(found, "_init_fn", None), "__module__", ""))
        _REGISTERED[name] = Registered(name, declaration, home, decomposition, onnx)
        return found

    return register if operator is None else register(operator)


def registered(name: str) -> Registered | None:
    """Return what was registered under `library::operator`; `None` where nothing was."""
    return _REGISTERED.get(name)


@lru_cache(maxsize=1)
def load_entry_points() -> None:
    """Import, once, the modules that installed packages name as entry points of `nasviz.operators`."""
    for point in entry_points(group=GROUP):
        point.load()


@lru_cache(maxsize=256)
def declared(declaration: str) -> OperatorRule:
    """Return the rule that a declaration describes.

    Raises:
        GraphError: It is none; it may come from a file.
    """
    try:
        return _rule(json.loads(declaration))
    except (ValueError, TypeError, RecursionError) as error:
        raise GraphError(f"the rule of an operator cannot be read: {error}") from error


def _rule(given: Any) -> OperatorRule:
    if not isinstance(given, dict) or set(given) != {"role", "zero", "axes", "acts_on", "arguments", "sizes"}:
        raise ValueError("it must have a role, zero, axes, acts_on, arguments and sizes")
    role, sizes, arguments = Role(given["role"]), given["sizes"], given["arguments"] or ()
    if role not in _ROLES:
        raise ValueError(f"role={role.value!r}: choose one of {', '.join(r.value for r in _ROLES)}")
    for name in ("zero", "axes", "acts_on"):
        if not isinstance(given[name], str | None):
            raise TypeError(f"{name}={given[name]!r} is no text")
    if given["acts_on"] not in ("", "numbers", "channels"):
        raise ValueError(f"acts_on={given['acts_on']!r}: choose numbers or channels")
    texts = (*arguments, *sizes.values()) if isinstance(sizes, dict) else (None,)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("arguments and sizes hold names")
    if given["axes"] and given["axes"].partition("->")[0].count(",") >= len(arguments):
        raise ValueError(f"axes={given['axes']!r} describes more arguments than {', '.join(arguments)}")
    return OperatorRule(
        role=role,
        zero=given["zero"],
        axes=given["axes"],
        acts_on=given["acts_on"],
        arguments=tuple(arguments),
        sizes=sizes,
        literals=frozenset(sizes),
    )


def _name(operator: Any) -> str:
    """Return `library::operator`."""
    schema = getattr(operator, "_schema", None)
    found = (
        operator
        if isinstance(operator, str)
        else getattr(operator, "_qualname", None)
        or getattr(operator, "_qualified_op_name", None)
        or getattr(schema, "name", None)
    )
    if not isinstance(found, str) or found.count("::") != 1:
        raise ArgumentError(
            f"{operator!r:.80} is no operator of a library; give what torch.library.custom_op returns, an"
            " operator of torch.ops, or a name such as 'mylib::swish'"
        )
    if found.startswith(("aten::", "prim::", "nasviz::")):
        raise ArgumentError(f"{found} belongs to torch or nasviz, which have rules of their own")
    return found


def _tensor_arguments(operator: Any) -> tuple[str, ...]:
    """Return the names of the tensor arguments in the schema of an operator; none where it has no schema."""
    overload = getattr(operator, "_opoverload", None) or getattr(operator, "default", operator)
    schema = getattr(overload, "_schema", None)
    types = ("Tensor", "Optional[Tensor]", "List[Tensor]")
    return tuple(a.name for a in schema.arguments if str(a.type) in types) if schema is not None else ()
