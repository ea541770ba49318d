"""Field types of settings, and the records that every view of a setting is derived from.

A settings class declares each field once, with one of the functions below: type, default, bounds, label,
help, unit and source. `describe` returns them as `nasviz.catalog.Setting` records, from which command-line
options, forms, sweep axes, error messages and tables are derived.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, BeforeValidator, Field
from pydantic.fields import FieldInfo

from nasviz.catalog import SALIENCIES, Setting
from nasviz.catalog.entry import Kind

__all__ = [
    "AUTO",
    "Auto",
    "Choices",
    "Names",
    "Share",
    "Steps",
    "StepsOrNone",
    "choice",
    "describe",
    "describe_field",
    "number",
    "setting",
]

AUTO = "auto"
"""Value determined when the run starts, by the rule in the help of the field."""
Auto = Literal["auto"]

Steps = Annotated[int, Field(ge=1, le=10**9)] | Annotated[float, Field(gt=0, le=1)]
"""Number of optimizer steps (int), or fraction of all steps of the run (float)."""
StepsOrNone = Annotated[int, Field(ge=0, le=10**9)] | Annotated[float, Field(gt=0, le=1)]
"""The same, where a phase may also be left out."""
Share = Annotated[int, Field(ge=0, le=10**6)] | Annotated[float, Field(ge=0, lt=1)]
"""Count (int), or fraction in [0, 1) (float)."""
Names = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
]
"""Ordered names; a list in JSON."""


def setting(
    default: Any,
    label: str,
    text: str,
    *,
    unit: str = "",
    source: str = "",
    needs: Mapping[str, tuple[Any, ...]] | None = None,
    group: str = "",
    metavar: str = "",
    is_axis: bool = True,
    expected: str = "",
    aliases: tuple[str, ...] = (),
    **bounds: Any,
) -> Any:
    """Declare a field.

    Args:
        default: Default value.
        label: Label in forms.
        text: One line of help, a sentence.
        unit: Unit of the value, such as `steps` or `ms`.
        source: Document that defines the value or the formula.
        needs: Values of other fields without which this one has no effect.
        group: Heading under which it is listed.
        metavar: Placeholder of its value on the command line.
        is_axis: Whether a sweep can vary it.
        expected: What a value must be, where bounds and type do not say it; follows "must be".
        aliases: Further names of its command-line option, without the dashes.
        **bounds: Bounds as pydantic names them: `ge`, `gt`, `le`, `lt`, `pattern`.
    """
    extra: dict[str, Any] = {
        "unit": unit,
        "source": source,
        "needs": {name: list(values) for name, values in (needs or {}).items()},
        "group": group,
        "metavar": metavar,
        "is_axis": is_axis,
        "expected": expected,
        "aliases": list(aliases),
    }
    return Field(
        default,
        title=label,
        description=text,
        json_schema_extra={name: value for name, value in extra.items() if value not in ("", [], {}, True)},
        **bounds,
    )


def number(default: float, low: float, high: float, label: str, text: str, **more: Any) -> Any:
    """Declare a number in the closed interval from `low` to `high`."""
    return setting(default, label, text, ge=low, le=high, **more)


def choice(default: str, label: str, text: str, **more: Any) -> Any:
    """Declare one of the names that the field's `Literal` lists."""
    return setting(default, label, text, **more)


@dataclass(frozen=True, slots=True)
class Choices:
    """Annotation of a text that is one of some names, which extensions may add to."""

    names: Callable[[], tuple[str, ...]]

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        found: dict[str, Any] = handler(schema)
        return found | {"enum": list(self.names())}


def describe(model: type[BaseModel]) -> tuple[Setting, ...]:
    """Return the records of all labelled fields of a settings class, in the order of declaration."""
    return _describe(model, len(SALIENCIES))


@cache
def _describe(model: type[BaseModel], num_saliencies: int) -> tuple[Setting, ...]:
    """Do what `describe` does, again where an extension has added a choice."""
    return tuple(describe_field(name, field) for name, field in model.model_fields.items() if field.title)


def describe_field(name: str, field: FieldInfo) -> Setting:
    """Return the record of one field."""
    extra: Any = field.json_schema_extra or {}
    parts = _parts(field.annotation)
    names = tuple(value for part in parts if get_origin(part) is Literal for value in get_args(part))
    has_auto = names == (AUTO,)
    names = names or next((mark.names() for mark in field.metadata if isinstance(mark, Choices)), ())
    # pydantic moves the bounds of a plain type to `metadata`; those of union members stay in the annotation.
    marks = field.metadata or [
        mark for part in parts if get_origin(part) is Annotated for mark in part.__metadata__
    ]
    limits = [m for mark in marks for m in (mark.metadata if isinstance(mark, FieldInfo) else [mark])]
    low = next((m for m in limits if isinstance(m, Ge | Gt)), None)
    high = next((m for m in limits if isinstance(m, Le | Lt)), None)
    kind = _kind(parts, () if has_auto else names)
    is_number = kind in ("int", "float")
    return Setting(
        name,
        kind,
        field.default,
        minimum=_limit(low) if is_number or kind == "steps" else None,
        maximum=_limit(high) if is_number else None,
        above=isinstance(low, Gt),
        below=isinstance(high, Lt) and is_number,
        choices=() if has_auto else names,
        has_auto=has_auto,
        label=field.title or "",
        help=field.description or "",
        unit=extra.get("unit", ""),
        source=extra.get("source", ""),
        expected=extra.get("expected", ""),
        needs=tuple((needed, tuple(values)) for needed, values in extra.get("needs", {}).items()),
        group=extra.get("group", ""),
        metavar=extra.get("metavar", ""),
        is_axis=extra.get("is_axis", True),
        aliases=tuple(extra.get("aliases", ())),
    )


def _parts(annotation: Any) -> list[Any]:
    """Return the members of a union, or the type itself."""
    if get_origin(annotation) in (Union, UnionType):
        return [part for member in get_args(annotation) for part in _parts(member)]
    return [annotation]


def _kind(parts: list[Any], names: tuple[Any, ...]) -> Kind:
    plain = [get_args(part)[0] if get_origin(part) is Annotated else part for part in parts]
    if names:
        return "choice"
    if int in plain and float in plain:
        return "steps" if parts in (list(get_args(Steps)), list(get_args(StepsOrNone))) else "share"
    kinds: tuple[tuple[type, Kind], ...] = ((bool, "bool"), (int, "int"), (float, "float"), (str, "text"))
    for kind, name in kinds:
        if kind in plain:
            return name
    return "names"


def _limit(mark: Ge | Gt | Le | Lt | None) -> float | None:
    found = next((getattr(mark, name) for name in ("ge", "gt", "le", "lt") if hasattr(mark, name)), None)
    return None if found is None else float(found)
