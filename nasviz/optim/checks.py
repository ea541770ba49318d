"""Checks of settings that several optimizers share."""

from __future__ import annotations

from nasviz.errors import InvalidSettingError

__all__ = ["below_one", "not_negative", "positive_steps"]


def positive_steps(name: str, value: int) -> int:
    """`value`, if it is a number of steps, at least 1.

    Raises:
        InvalidSettingError: It is not.
    """
    if not isinstance(value, int) or value < 1:
        raise InvalidSettingError(f"{name}={value!r}: must be a number of steps, at least 1")
    return value


def below_one(name: str, value: float) -> float:
    """`value`, if it lies in [0, 1).

    Raises:
        InvalidSettingError: It does not.
    """
    if not 0 <= value < 1:
        raise InvalidSettingError(f"{name}={value!r}: must be at least 0 and below 1")
    return value


def not_negative(name: str, value: float) -> float:
    """`value`, if it is a finite number, at least 0.

    Raises:
        InvalidSettingError: It is not.
    """
    if not 0 <= value < float("inf"):
        raise InvalidSettingError(f"{name}={value!r}: must be a finite number, at least 0")
    return value
