"""Controls made from the catalog: every setting with its default, its range and one line of help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from nasviz.catalog import Entry, Setting
from nasviz.ui import session

__all__ = ["ask", "choice", "choose_entry", "keep", "kept", "overwrite", "title_of", "whole", "yes"]

_AGE = "age of the widgets"
TITLES = {
    "lr": "Learning rate",
    "base": "Base update",
    "warmup_steps": "Warm-up steps",
    "projection_steps": "Projection steps",
    "score_every": "Score every n-th step",
    "weight_decay": "Weight decay",
    "epsilon": "Half-space offset ε",
    "lr_schedule": "Course of the rate",
    "lr_periods": "Cosines in a row",
    "mixup": "MixUp",
    "label_smoothing": "Smoothed labels",
}
"""Where the name of a setting, read aloud, is not what people say."""


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


def title_of(setting: Setting) -> str:
    """Its name, as people say it."""
    return TITLES.get(setting.name, setting.name.replace("_", " ").capitalize())


def ask(setting: Setting, key: str) -> Any:
    """A widget for one setting; its value outlives the page."""
    title = title_of(setting)
    value = kept(key, setting.default)
    if setting.kind == "bool":
        value = st.checkbox(title, bool(value), help=setting.help, key=_fresh(key))
    elif setting.kind == "choice":
        index = setting.choices.index(value) if value in setting.choices else 0
        value = st.selectbox(title, setting.choices, index, help=setting.help, key=_fresh(key))
    else:
        value = _number(setting, title, value, _fresh(key))
    keep(key, value)
    return value


def _number(setting: Setting, title: str, value: Any, key: str) -> Any:
    low, high, said = setting.minimum, setting.maximum, setting.help
    if setting.kind == "int":
        return st.number_input(
            title,
            None if low is None else int(low),
            None if high is None else int(high),
            None if value is None else int(value),
            help=said,
            placeholder="automatic",
            key=key,
        )
    if setting.below and high is not None:
        high -= 1e-9
    start = None if value is None else float(value)
    return st.number_input(title, low, high, start, format="%g", help=said, placeholder="automatic", key=key)


def choose_entry(title: str, table: Mapping[str, Entry], key: str, *, help_text: str | None = None) -> Entry:
    """A choice among the rows of a table of the catalog, by their titles."""
    names = list(table)
    known = kept(key, names[0])
    index = names.index(known) if known in names else 0
    name = st.selectbox(
        title, names, index, format_func=lambda name: table[name].title, help=help_text, key=key
    )
    keep(key, name)
    return table[name]
