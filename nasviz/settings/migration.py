"""Migration of settings written by nasviz 0.1.

Version 0.1 kept the settings of all optimizers in one flat object: `None` meant the default of the optimizer,
and settings that the chosen optimizer ignored were recorded too.
"""

from __future__ import annotations

import itertools
from collections import ChainMap
from collections.abc import Container, Mapping
from typing import Any

from nasviz.errors import InvalidSettingError
from nasviz.settings.method import MethodSettings, find_method, methods_with

__all__ = ["is_flat", "migrated", "migrated_axes"]

_RATE = {"architecture_lr": 3e-4}
_COPIES = {"auxiliary_weight": 1.0, "coupling": 1.0}
_BEFORE: Mapping[str, Mapping[str, Any]] = {
    "hspg": {"regularization": 1e-3, "max_zeros": 1.0},
    "gsparsity": {"pruning": "threshold", "mu": 1.0, "max_zeros": 1.0},
    "darts": _RATE,
    "milenas": _RATE,
    "rarts": {**_RATE, **_COPIES},
    "sparsenas": {**_RATE, "penalty_step": 0.01, "target_zeros": 0.0},
    "rarts_width": _COPIES,
    "sidt": _COPIES,
}
"""What the methods of 0.1 did where its settings said nothing, and defaults differ now."""


def is_flat(data: Mapping[str, Any]) -> bool:
    """Return whether settings have the flat form of 0.1."""
    return "method" not in data and ("optimizer" in data or any(methods_with(name) for name in data))


def migrated(data: Mapping[str, Any], common: Container[str]) -> dict[str, Any]:
    """Return settings in the current format.

    Args:
        data: JSON data in the format of 0.1 or the current one.
        common: Names of the settings that every run has.

    Raises:
        NasvizError: The optimizer is unknown.
    """
    if not isinstance(data, Mapping):
        raise InvalidSettingError(f"settings must be an object with 'network'; got {str(data)[:80]!r}")
    if not is_flat(data):
        method = data.get("method")
        if "trained_epochs" in data and isinstance(method, Mapping):  # recorded, so with all settings of then
            before = {"change_over": "off"}
            return before | dict(data) | {"method": {**_before(str(method.get("name")), method), **method}}
        return dict(data)
    kind = find_method(data.get("optimizer", "h2spg"))
    own = {name: value for name, value in data.items() if name not in common and kind.has(name)}
    # Unknown names are kept, so that validation reports them.
    rest = {name: v for name, v in data.items() if name in common or not methods_with(name)}
    rest.pop("optimizer", None)
    rest = {"change_over": "off"} | rest  # 0.1 trained the full network to the end
    if "allow_changed_training" not in data:  # in 0.1 a decimal name was the id of a structure
        rest["protect"] = [f"id:{w}" if str(w).isdecimal() else w for w in rest.get("protect", ())]
    return rest | {"method": {"name": kind.model_fields["name"].default} | _as_used(kind, own)}


def migrated_axes(axes: list[Any], base: Mapping[str, Any]) -> list[Any]:
    """Return the axes of a sweep of 0.1 in the current format.

    A sweep of 0.1 could combine methods with settings that they ignored. Then all points are merged into one
    axis without these settings.

    Args:
        axes: Lists of points, each an object with flat names.
        base: Flat settings that all runs share.
    """
    found = [[_migrated_point(point, base) for point in points] for points in axes]
    points = [dict(ChainMap(*choice)) for choice in itertools.product(*found)]
    used = [_without_ignored(point, base.get("optimizer", "h2spg")) for point in points]
    return found if used == points else [used]


def _without_ignored(point: Mapping[str, Any], method: str) -> dict[str, Any]:
    kind = find_method(point.get("method", method))
    return {name: value for name, value in point.items() if kind.has(name) or not methods_with(name)}


def _migrated_point(point: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    before = _BEFORE.get(point.get("optimizer", ""), {})
    point = {name: value for name, value in before.items() if base.get(name) is None} | dict(point)
    found = {}
    for name, value in point.items():
        holders = methods_with(name)
        if value is None and holders:  # None meant the default of the optimizer
            asked = point.get("optimizer", base.get("optimizer", "h2spg"))
            kind = find_method(asked if asked in holders else holders[0])
            method = str(kind.model_fields["name"].default)
            value = _BEFORE.get(method, {}).get(name, kind.fields()[name].default)
        found["method" if name == "optimizer" else name] = value
    return found


def _as_used(kind: type[MethodSettings], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a run of 0.1 actually used."""
    found = {name: value for name, value in own.items() if value is not None}
    if found.get("base", "sgd") != "sgd":
        found.pop("momentum", None)  # recorded but ignored
    return {**_before(str(kind.model_fields["name"].default), found), **found}


def _before(method: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a method did before where its recorded settings say nothing."""
    found = dict(_BEFORE.get(method, {}))
    # Only operations of cells are penalized since the rule of pruning is a setting.
    if method == "gsparsity" and own.get("cells") and "pruning" not in own:
        found["outside"] = True
    return found
