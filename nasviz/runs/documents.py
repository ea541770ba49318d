"""Validation of the JSON documents in a run folder.

Documents come from untrusted sources, and pages and lists compute with them. Types are therefore checked
once, where a document is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "RESULT_CHECKS",
    "Check",
    "finite",
    "first_invalid",
    "is_count",
    "is_number",
    "is_table",
    "is_text",
    "is_time",
    "list_of",
    "or_none",
]

Check = Callable[[Any], bool]
_LARGEST = 2.0**1000
_YEAR_9999 = 253e9


def is_text(value: object) -> bool:
    """Return whether a value is text."""
    return isinstance(value, str)


def is_number(value: object) -> bool:
    """Return whether a value is a finite number that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def or_none(check: Check) -> Check:
    """Return a check that also accepts None."""
    return lambda value: value is None or check(value)


def list_of(check: Check) -> Check:
    """Return a check for a list whose items all pass `check`."""
    return lambda value: isinstance(value, list | tuple) and all(map(check, value))


def is_count(value: object) -> bool:
    """Return whether a value is a non-negative integer of at most 63 bits, as SQLite stores it."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def is_time(value: Any) -> bool:
    """Return whether a value is a time in seconds since 1970 that `datetime` can represent."""
    return is_number(value) and 0 <= value < _YEAR_9999


def is_table(value: object) -> bool:
    """Return whether a value is a JSON object."""
    return isinstance(value, Mapping)


RESULT_CHECKS: dict[str, Check] = {
    **dict.fromkeys(("selected", "channels", "orphaned", "gates"), list_of(is_count)),
    **dict.fromkeys(
        (
            *("params_before", "params_after", "macs_before", "macs_after", "bytes_before", "bytes_after"),
            *("num_structures", "survivors", "changed_at", "result_step"),
        ),
        is_count,
    ),
    **dict.fromkeys(
        (
            *(
                "accuracy_full",
                "accuracy_subnet",
                "top5_full",
                "top5_subnet",
                "search_seconds",
                "max_relative_error",
                "effect",
            ),
            "target_sparsity",
        ),
        is_number,
    ),
    **dict.fromkeys(
        ("loss_full", "loss_subnet", "perplexity_full", "perplexity_subnet", "best_step", "best_accuracy"),
        or_none(is_number),
    ),
    **dict.fromkeys(("zeroed_by", "zeroed_at", "channels_zeroed_by", "channels_zeroed_at"), is_table),
    **dict.fromkeys(("pruning", "sparsity"), or_none(is_table)),
    **dict.fromkeys(
        ("metrics_full", "metrics_subnet"),
        or_none(lambda value: is_table(value) and all(map(is_number, value.values()))),
    ),
    **dict.fromkeys(("imports", "kept", "metrics"), list_of(is_text)),
    **dict.fromkeys(("outcome", "result", "genotype"), is_text),
    "is_valid": lambda value: isinstance(value, bool),
}
"""Check for each entry that a final report may have."""


def finite(result: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a report without what holds numbers that JSON cannot, and the names of what it lacks then.

    Tables of metrics keep their other entries.

    Examples:
        >>> finite({"loss_full": float("nan"), "metrics_full": {"f1": 0.5, "r2": float("-inf")}})
        ({'metrics_full': {'f1': 0.5}}, ('loss_full', 'r2 of metrics_full'))
    """
    kept, left_out = {}, []
    for name, value in result.items():
        if name.startswith("metrics_") and isinstance(value, Mapping):
            kept[name] = {metric: number for metric, number in value.items() if _is_json(number)}
            left_out += [f"{metric} of {name}" for metric in value.keys() - kept[name].keys()]
        elif _is_json(value):
            kept[name] = value
        else:
            left_out.append(name)
    return kept, tuple(left_out)


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:  # a number that is not finite
        return False
    return True


def first_invalid(
    document: Mapping[str, Any], checks: Mapping[str, Check], *, only_present: bool = False
) -> str | None:
    """Return the name of the first entry that fails its check, or None if all pass.

    Args:
        document: The document as read.
        checks: One check per entry.
        only_present: Whether entries may be missing.

    Examples:
        >>> first_invalid({"step": 3, "accuracy": "high"}, {"step": is_count, "accuracy": is_number})
        'accuracy'
    """
    names = [name for name in checks if name in document] if only_present else list(checks)
    return next((name for name in names if not checks[name](document.get(name))), None)
