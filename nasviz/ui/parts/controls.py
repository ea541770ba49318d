"""Widgets for declared settings, each with its default, its range and one line of help."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import streamlit as st

from nasviz.catalog import NetworkSource, Setting
from nasviz.catalog.genotype import LONGEST_GENOTYPE
from nasviz.settings import AUTO
from nasviz.ui import session

__all__ = [
    "ask",
    "ask_all",
    "ask_cells",
    "choice",
    "choose_entry",
    "has_effect",
    "keep",
    "kept",
    "overwrite",
    "whole",
    "yes",
]

_GENERATION = "widget generation"


def kept(key: str, default: Any) -> Any:
    """Return the last value of the widget `key`, also after its page was left."""
    return session.current().choices.get(key, default)


def keep(key: str, value: Any) -> None:
    """Store the value of a widget in the session."""
    session.current().choices[key] = value


def overwrite(values: Mapping[str, Any]) -> None:
    """Set widgets to these values, given by widget key."""
    for key, value in values.items():
        keep(key, value)
    # Streamlit ignores a new default for a widget that is on the page. Changing its key replaces the widget.
    keep(_GENERATION, kept(_GENERATION, 0) + 1)


def _widget_key(key: str) -> str:
    generation = kept(_GENERATION, 0)
    return f"{key}~{generation}" if generation else key


def whole(title: str, key: str, default: int, low: int, high: int, *, help_text: str | None = None) -> int:
    """Show an integer field and return its value."""
    value = int(st.number_input(title, low, high, kept(key, default), help=help_text, key=_widget_key(key)))
    keep(key, value)
    return value


def choice(title: str, names: Sequence[str], key: str, *, help_text: str | None = None) -> str:
    """Show a select box of a few names and return the chosen one."""
    known = kept(key, names[0])
    name = st.selectbox(title, names, names.index(known) if known in names else 0, help=help_text, key=key)
    keep(key, name)
    return name


def yes(title: str, key: str, *, help_text: str | None = None) -> bool:
    """Show a check box, off by default, and return its state."""
    value = bool(st.checkbox(title, kept(key, False), key=_widget_key(key), help=help_text))
    keep(key, value)
    return value


def ask(setting: Setting, key: str) -> Any:
    """Show a widget for one setting and return its value, which is kept when the page is left."""
    value = kept(key, setting.default)
    if setting.kind == "bool":
        value = st.checkbox(setting.title, bool(value), help=setting.help, key=_widget_key(key))
    elif setting.kind == "choice":
        index = setting.choices.index(value) if value in setting.choices else 0
        value = st.selectbox(setting.title, setting.choices, index, help=setting.help, key=_widget_key(key))
    elif setting.kind == "names":
        value = _names(setting, value, _widget_key(key))
    elif setting.kind == "genotype":
        value = st.text_area(
            setting.title, str(value), help=setting.help, max_chars=LONGEST_GENOTYPE, key=_widget_key(key)
        )
    elif setting.kind == "steps":
        value = _steps(setting, value, _widget_key(key))
    else:
        value = _number(setting, value, _widget_key(key))
    keep(key, value)
    return value


def ask_all(
    settings: Iterable[Setting], prefix: str, *, columns: int = 2, notes: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Show a widget for each setting that has an effect, in columns, and return the values by name.

    Args:
        settings: Settings to ask for.
        prefix: Beginning of the keys of the widgets.
        columns: Number of columns.
        notes: Receives by name an empty place below each widget, for what its value comes to.
    """
    places = st.columns(columns)
    values: dict[str, Any] = {}
    shown = 0
    for setting in settings:
        if not has_effect(setting, values, prefix):
            continue
        with places[shown % columns]:
            values[setting.name] = ask(setting, f"{prefix}.{setting.name}")
            if notes is not None:
                notes[setting.name] = st.empty()
        shown += 1
    return values


def ask_cells(source: NetworkSource, own: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Ask whether cells of one type share their structures, on networks of cells.

    Args:
        source: The network.
        own: Chosen settings of the method; without `cells`, or with cells named there, nothing is asked.
        key: Key of the check box.
    """
    cells = source.entry.cells if source.entry else ()
    if not cells or own.get("cells") != ():
        return {}
    words = (
        "The same operation in all cells of one type is one group: the search finds a cell, not a network."
    )
    is_tied = st.checkbox("Share one cell per type", kept(key, True), key=key, help=words)
    keep(key, is_tied)
    return {"cells": cells if is_tied else ()}


def has_effect(setting: Setting, values: Mapping[str, Any], prefix: str) -> bool:
    """Return whether the settings that this one depends on, in `values` or as last chosen, enable it."""
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
    """Show a field for a number of steps; values below 1 are a fraction of all steps."""
    low = 0.001 if setting.minimum else 0.0
    found = st.number_input(setting.title, low, 1e9, float(value), format="%g", help=setting.help, key=key)
    return float(found) if 0 < found < 1 else round(found)


def _number(setting: Setting, value: Any, key: str) -> Any:
    low, high = setting.minimum, setting.maximum
    start = None if isinstance(value, str) else value  # "auto" is an empty field
    options: dict[str, Any] = {"help": setting.help, "placeholder": "auto", "key": key}
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
            high -= 1e-9  # `number_input` has closed bounds only
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
    """Show a select box of the titles of a table and return the chosen row."""
    names = list(table)
    known = kept(key, names[0])
    index = names.index(known) if known in names else 0
    name = st.selectbox(
        title, names, index, format_func=lambda name: table[name].title, help=help_text, key=key
    )
    keep(key, name)
    return table[name]
