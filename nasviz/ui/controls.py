"""Controls made from declared settings, each with its default, its range and one line of help."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import streamlit as st

from nasviz.catalog import Setting
from nasviz.settings import AUTO
from nasviz.ui import session

__all__ = [
    "ask",
    "ask_all",
    "choice",
    "choose_entry",
    "has_effect",
    "keep",
    "kept",
    "overwrite",
    "whole",
    "yes",
]

_AGE = "age of the widgets"


def kept(key: str, default: Any) -> Any:
    """What the widget `key` showed last, also when its page was left in between."""
    return session.current().choices.get(key, default)


def keep(key: str, value: Any) -> None:
    """Remember what a widget shows."""
    session.current().choices[key] = value


def overwrite(values: Mapping[str, Any]) -> None:
    """Let widgets show these values by their keys, whatever was chosen in them before."""
    for key, value in values.items():
        keep(key, value)
    # A widget that is on the page keeps what it shows: those of the next script run are new ones.
    keep(_AGE, kept(_AGE, 0) + 1)


def _fresh(key: str) -> str:
    age = kept(_AGE, 0)
    return f"{key}~{age}" if age else key


def whole(title: str, key: str, default: int, low: int, high: int, *, help_text: str | None = None) -> int:
    """A whole number."""
    value = int(st.number_input(title, low, high, kept(key, default), help=help_text, key=_fresh(key)))
    keep(key, value)
    return value


def choice(title: str, names: Sequence[str], key: str, *, help_text: str | None = None) -> str:
    """One of a few names."""
    known = kept(key, names[0])
    name = st.selectbox(title, names, names.index(known) if known in names else 0, help=help_text, key=key)
    keep(key, name)
    return name


def yes(title: str, key: str, *, help_text: str | None = None) -> bool:
    """Yes or no; no at first."""
    value = bool(st.checkbox(title, kept(key, False), key=_fresh(key), help=help_text))
    keep(key, value)
    return value


def ask(setting: Setting, key: str) -> Any:
    """Show a widget for one setting; its value outlives the page."""
    value = kept(key, setting.default)
    if setting.kind == "bool":
        value = st.checkbox(setting.title, bool(value), help=setting.help, key=_fresh(key))
    elif setting.kind == "choice":
        index = setting.choices.index(value) if value in setting.choices else 0
        value = st.selectbox(setting.title, setting.choices, index, help=setting.help, key=_fresh(key))
    elif setting.kind == "names":
        value = _names(setting, value, _fresh(key))
    elif setting.kind == "steps":
        value = _steps(setting, value, _fresh(key))
    else:
        value = _number(setting, value, _fresh(key))
    keep(key, value)
    return value


def ask_all(settings: Iterable[Setting], prefix: str, *, columns: int = 2) -> dict[str, Any]:
    """Show a widget for each of several settings, in columns, but for those that would have no effect."""
    places = st.columns(columns)
    values: dict[str, Any] = {}
    shown = 0
    for setting in settings:
        if not has_effect(setting, values, prefix):
            continue
        with places[shown % columns]:
            values[setting.name] = ask(setting, f"{prefix}.{setting.name}")
        shown += 1
    return values


def has_effect(setting: Setting, values: Mapping[str, Any], prefix: str) -> bool:
    """Return whether the settings that this one needs have such values, in `values` or as they were left."""
    return all(
        values.get(name, kept(f"{prefix}.{name}", possible[0])) in possible
        for name, possible in setting.needs
    )


def _names(setting: Setting, value: Sequence[str], key: str) -> tuple[str, ...]:
    text = st.text_input(
        setting.title, ", ".join(value), placeholder=setting.metavar, help=setting.help, key=key
    )
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _steps(setting: Setting, value: int | float, key: str) -> int | float:
    """Return a number of steps, or below 1 a share of all."""
    found = st.number_input(setting.title, 0.001, 1e9, float(value), format="%g", help=setting.help, key=key)
    return float(found) if found < 1 else round(found)


def _number(setting: Setting, value: Any, key: str) -> Any:
    low, high = setting.minimum, setting.maximum
    start = None if isinstance(value, str) else value  # "auto" is an empty field
    options: dict[str, Any] = {"help": setting.help, "placeholder": "automatic", "key": key}
    if setting.kind == "int":
        found = st.number_input(
            setting.title,
            None if low is None else int(low),
            None if high is None else int(high),
            None if start is None else int(start),
            **options,
        )
    else:
        if setting.below and high is not None:
            high -= 1e-9
        if setting.above and low is not None:
            low += 1e-12
        found = st.number_input(
            setting.title, low, high, None if start is None else float(start), format="%g", **options
        )
    if found is not None:
        return found
    return AUTO if setting.has_auto else setting.default


class _Titled(Protocol):
    @property
    def title(self) -> str: ...


_Row = TypeVar("_Row", bound=_Titled)


def choose_entry(title: str, table: Mapping[str, _Row], key: str, *, help_text: str | None = None) -> _Row:
    """Show a choice among the rows of a table, by their titles."""
    names = list(table)
    known = kept(key, names[0])
    index = names.index(known) if known in names else 0
    name = st.selectbox(
        title, names, index, format_func=lambda name: table[name].title, help=help_text, key=key
    )
    keep(key, name)
    return table[name]
