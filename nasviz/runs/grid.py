"""Grids of settings.

An axis is a sequence of points, and a point changes one setting or several that belong together. A grid is
the Cartesian product of its axes; the last axis varies fastest.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nasviz.catalog import NetworkSource
from nasviz.errors import InvalidSettingError
from nasviz.settings import METHOD, METHODS, RunSettings, laid_over
from nasviz.settings.base import nearest

__all__ = ["MAX_RUNS", "NETWORK_PREFIX", "Axis", "Point", "axis", "expand", "parse_axis", "settings_of"]

Point = Mapping[str, Any]
"""New values by flat name of `RunSettings`, or `set.NAME` for a setting of the network itself."""
Axis = tuple[Point, ...]

MAX_RUNS = 10_000
NETWORK_PREFIX = "set."
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
_WORDS: Mapping[str, Any] = {"true": True, "false": False}
_LISTS = ("protect", "collapse", "cells", "emphasis")
"""Settings that are lists of names."""


def axis(name: str, values: Iterable[Any]) -> Axis:
    """Return the axis that varies one setting.

    Examples:
        >>> axis("seed", (0, 1))
        ({'seed': 0}, {'seed': 1})
    """
    return tuple({name: value} for value in values)


def parse_axis(text: str) -> Axis:
    """Parse an axis of the command line: comma-separated values, or a range of integers.

    A value of a setting that takes several names joins them by `+`; `none` is the empty list.

    Raises:
        InvalidSettingError: The text is malformed, or names no setting.

    Examples:
        >>> parse_axis("target_sparsity=1,0.5")
        ({'target_sparsity': 1}, {'target_sparsity': 0.5})
        >>> parse_axis("seed=0..2")
        ({'seed': 0}, {'seed': 1}, {'seed': 2})
        >>> parse_axis("emphasis=none,layer2=2+layer3=2")
        ({'emphasis': []}, {'emphasis': ['layer2=2', 'layer3=2']})
    """
    name, sign, values = text.partition("=")
    if not sign or not values:
        raise InvalidSettingError(
            f"{text!r} is not an axis of a grid; write NAME=VALUE,VALUE,..., such as target_sparsity=1,2,3"
        )
    name = _known(name.replace("-", "_"))
    return axis(name, map(_names, values.split(",")) if name in _LISTS else _values(values))


def expand(axes: Sequence[Axis]) -> tuple[Point, ...]:
    """Return the Cartesian product of the axes, as one point per run.

    Raises:
        InvalidSettingError: There are too many runs, an axis is empty, or two axes change the same setting.
    """
    count, seen, changed = 1, set[str](), [{name for point in points for name in point} for points in axes]
    for points, names in zip(axes, changed, strict=True):
        if not points or not names:
            raise InvalidSettingError("an axis of the grid has no values; add one, or remove the axis")
        if twice := sorted(names & seen):
            raise InvalidSettingError(f"two axes of the grid change {', '.join(twice)}; remove one of them")
        seen |= names
        count *= len(points)
    if {"epochs"} in changed and {"steps"} in changed:
        raise InvalidSettingError("axes of the grid change epochs and steps; give steps or epochs, not both")
    if count > MAX_RUNS:
        raise InvalidSettingError(
            f"the grid has {count:,} runs, but a sweep takes at most {MAX_RUNS:,}; use fewer values"
        )
    return tuple(functools.reduce(laid_over, choice, {}) for choice in itertools.product(*axes))


def settings_of(base: RunSettings, point: Point) -> RunSettings:
    """Return `base` with the values of `point`.

    Raises:
        InvalidSettingError: A name is unknown, or a value is out of range.
    """
    for name in point:
        _known(name)
    network = point.get("network", base.network)
    if isinstance(network, str):
        network = NetworkSource(network)
    elif isinstance(network, Mapping):
        network = NetworkSource.from_json(network)
    own = {n.removeprefix(NETWORK_PREFIX): v for n, v in point.items() if n.startswith(NETWORK_PREFIX)}
    if own:
        network = replace(network, settings=dict(network.settings) | own)
    others = {n: v for n, v in point.items() if n != "network" and not n.startswith(NETWORK_PREFIX)}
    return base.changed(**(others | {"network": network}))


def _known(name: str) -> str:
    """Return the name under which a setting that can be varied is recorded."""
    if name == "optimizer":
        return "method"
    names = _axis_names()
    if name in names or (
        name.startswith(NETWORK_PREFIX) and name.removeprefix(NETWORK_PREFIX).isidentifier()
    ):
        return name
    raise InvalidSettingError(
        f"{name!r} is not a setting that a sweep can vary{nearest(name, names)}; choose one of"
        f" {', '.join(sorted(names))}, or {NETWORK_PREFIX}NAME for a setting of the network"
    )


def _axis_names() -> frozenset[str]:
    """Return the flat names that a point may change."""
    tables = (RunSettings.fields(), *(kind.fields() for kind in METHODS.values()))
    varied = {name for fields in tables for name, field in fields.items() if field.is_axis}
    return frozenset(varied | {"network", "trained_epochs", "trained_steps", *_LISTS, *METHOD})


def _names(word: str) -> list[str]:
    """Return the names in one value of an axis."""
    return [] if word.strip().lower() == "none" else [part.strip() for part in word.split("+")]


def _values(text: str) -> list[Any]:
    values: list[Any] = []
    for word in text.split(","):
        if match := _RANGE.fullmatch(word):
            first, last = int(match[1]), int(match[2])
            if last - first >= MAX_RUNS:
                raise InvalidSettingError(f"the range {word} has more than {MAX_RUNS:,} values")
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
