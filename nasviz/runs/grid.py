"""Grids: which settings are varied, and the runs that come of it, one for each way of choosing.

An axis is a row of points, and a point changes one setting or several that belong together. A grid takes one
point of each axis, in all ways, the last axis fastest.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nasviz.catalog import NetworkSource
from nasviz.errors import InvalidSettingError
from nasviz.settings import METHOD, METHODS, RunSettings
from nasviz.settings.base import nearest

__all__ = ["MOST_RUNS", "OF_NETWORK", "Axis", "Point", "axis", "expand", "parse_axis", "settings_of"]

Point = Mapping[str, Any]
"""New values by flat name of `RunSettings`, or `set.NAME` for a setting of the network itself."""
Axis = tuple[Point, ...]

MOST_RUNS = 10_000
OF_NETWORK = "set."
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
_WORDS: Mapping[str, Any] = {"true": True, "false": False}


def axis(name: str, values: Iterable[Any]) -> Axis:
    """The axis that varies one setting.

    Examples:
        >>> axis("seed", (0, 1))
        ({'seed': 0}, {'seed': 1})
    """
    return tuple({name: value} for value in values)


def parse_axis(text: str) -> Axis:
    """The axis that a command line names: values with commas between, or whole numbers as a range.

    Raises:
        InvalidSettingError: It is not of that form, or names no setting.

    Examples:
        >>> parse_axis("target_sparsity=1,0.5")
        ({'target_sparsity': 1}, {'target_sparsity': 0.5})
        >>> parse_axis("seed=0..2")
        ({'seed': 0}, {'seed': 1}, {'seed': 2})
    """
    name, sign, values = text.partition("=")
    if not sign or not values:
        raise InvalidSettingError(
            f"{text!r} is no axis of a grid; write NAME=VALUE,VALUE,..., such as target_sparsity=1,2,3"
        )
    return axis(_known(name.replace("-", "_")), _values(values))


def expand(axes: Sequence[Axis]) -> tuple[Point, ...]:
    """Every choice of one point of each axis.

    Raises:
        InvalidSettingError: There are too many, an axis is empty, or two of them change the same setting.
    """
    count, seen = 1, set[str]()
    for points in axes:
        names = {name for point in points for name in point}
        if not points or not names:
            raise InvalidSettingError("an axis of the grid holds no value; name one, or leave it out")
        if twice := sorted(names & seen):
            raise InvalidSettingError(f"two axes of the grid change {', '.join(twice)}; keep one of them")
        seen |= names
        count *= len(points)
    if count > MOST_RUNS:
        raise InvalidSettingError(
            f"the grid has {count:,} runs, and a sweep takes at most {MOST_RUNS:,}; name fewer values"
        )
    choices = itertools.product(*axes)
    return tuple({name: value for point in choice for name, value in point.items()} for choice in choices)


def settings_of(base: RunSettings, point: Point) -> RunSettings:
    """`base` with the values of `point`.

    Raises:
        InvalidSettingError: A name is unknown, or a value out of its range.
    """
    for name in point:
        _known(name)
    network = point.get("network", base.network)
    if isinstance(network, str):
        network = NetworkSource(network)
    elif isinstance(network, Mapping):
        network = NetworkSource.from_json(network)
    own = {n.removeprefix(OF_NETWORK): value for n, value in point.items() if n.startswith(OF_NETWORK)}
    if own:
        network = replace(network, settings=dict(network.settings) | own)
    others = {n: v for n, v in point.items() if n != "network" and not n.startswith(OF_NETWORK)}
    return base.changed(**(others | {"network": network}))


def _known(name: str) -> str:
    """Return the recorded name of a setting that can be varied."""
    if name == "optimizer":
        return "method"
    names = _axis_names()
    if name in names or (name.startswith(OF_NETWORK) and name.removeprefix(OF_NETWORK).isidentifier()):
        return name
    raise InvalidSettingError(
        f"{name!r} is no setting of a run that can be varied{nearest(name, names)}; choose one of"
        f" {', '.join(sorted(names))}, or {OF_NETWORK}NAME for a setting of the network"
    )


def _axis_names() -> frozenset[str]:
    """Return the flat names that a point may change; lists can be changed by a program only."""
    tables = (RunSettings.fields(), *(kind.fields() for kind in METHODS.values()))
    varied = {name for fields in tables for name, field in fields.items() if field.is_axis}
    return frozenset(
        varied | {"network", "protect", "collapse", "cells", "emphasis", "trained_epochs", *METHOD}
    )


def _values(text: str) -> list[Any]:
    values: list[Any] = []
    for word in text.split(","):
        if match := _RANGE.fullmatch(word):
            first, last = int(match[1]), int(match[2])
            if last - first >= MOST_RUNS:
                raise InvalidSettingError(f"the range {word} has more than {MOST_RUNS:,} values")
            values.extend(range(first, last + 1))
        else:
            values.append(_value(word.strip()))
    return values


def _value(word: str) -> Any:
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
