"""What the parts of the documents in a run folder are: checked where a document is read.

Anybody may have written a document. Pages and lists compute with what they read, so a text where a number
belongs is found here, once, and not by each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "RESULT",
    "Is",
    "are",
    "first_wrong",
    "is_count",
    "is_number",
    "is_table",
    "is_text",
    "is_time",
    "or_none",
]

Is = Callable[[Any], bool]
_LARGEST = 2.0**1000
_YEAR_9999 = 253e9


def is_text(value: object) -> bool:
    """Return whether a value is text."""
    return isinstance(value, str)


def is_number(value: object) -> bool:
    """Return whether a value is a number that a float can hold; NaN and infinities are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def or_none(is_right: Is) -> Is:
    """Return a check that also accepts nothing."""
    return lambda value: value is None or is_right(value)


def are(is_right: Is) -> Is:
    """Return a check of a list, part by part."""
    return lambda value: isinstance(value, list | tuple) and all(map(is_right, value))


def is_count(value: object) -> bool:
    """Return whether a value is a whole number from 0 on, of 63 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def is_time(value: Any) -> bool:
    """Return whether a value is a time in seconds since 1970 that a calendar can show."""
    return is_number(value) and 0 <= value < _YEAR_9999


def is_table(value: object) -> bool:
    """Return whether a value is an object with names."""
    return isinstance(value, Mapping)


RESULT: dict[str, Is] = {
    **dict.fromkeys(("selected", "channels", "orphaned", "gates"), are(is_count)),
    **dict.fromkeys(
        (
            *("params_before", "params_after", "macs_before", "macs_after", "bytes_before", "bytes_after"),
            *("num_structures", "survivors"),
        ),
        is_count,
    ),
    **dict.fromkeys(
        (
            *("accuracy_full", "accuracy_subnet", "search_seconds", "max_relative_error", "effect"),
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
    **dict.fromkeys(("imports", "kept"), are(is_text)),
    "outcome": is_text,
    "is_valid": lambda value: isinstance(value, bool),
}
"""What each part of a report is, where it is there: pages and lists compute with them."""


def first_wrong(
    document: Mapping[str, Any], kinds: Mapping[str, Is], *, only_present: bool = False
) -> str | None:
    """Return the name of the first part that is not what belongs there; None where all are.

    Args:
        document: What was read.
        kinds: A check for each part.
        only_present: Whether parts may be missing.

    Examples:
        >>> first_wrong({"step": 3, "accuracy": "high"}, {"step": is_count, "accuracy": is_number})
        'accuracy'
    """
    names = [name for name in kinds if name in document] if only_present else list(kinds)
    return next((name for name in names if not kinds[name](document.get(name))), None)
