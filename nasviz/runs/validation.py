"""Rules for settings, declared as data, with one form of message for all of them.

Every message says what was asked, what is possible and what the default is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from nasviz.catalog import Setting
from nasviz.errors import InvalidSettingError

__all__ = ["Choice", "Number", "Pattern", "Rule", "Truth", "check", "refuse", "rule_of"]


class Rule(Protocol):
    """What a value has to be."""

    def allows(self, value: object) -> bool:
        """Whether `value` keeps the rule."""

    def describe(self) -> str:
        """The rule in words, fit to follow "must be"."""


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number in an interval; a whole one where `whole`."""

    minimum: float
    maximum: float
    whole: bool = False
    above: bool = False
    """Whether the minimum itself is excluded."""
    below: bool = False
    """Whether the maximum itself is excluded."""
    optional: bool = False
    """Whether None is allowed, for "choose for me"."""

    def allows(self, value: object) -> bool:
        """Whether `value` keeps the rule; a bool is no number."""
        if value is None:
            return self.optional
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        assert isinstance(value, (int, float))
        low = value > self.minimum if self.above else value >= self.minimum
        high = value < self.maximum if self.below else value <= self.maximum
        return math.isfinite(value) and low and high

    def describe(self) -> str:
        """The rule in words."""
        kind = "a whole number" if self.whole else "a number"
        low = "above" if self.above else "from"
        high = "below" if self.below else "to"
        text = f"{kind} {low} {self.minimum:g} {high} {self.maximum:.15g}"
        return text + (", or None to have it chosen" if self.optional else "")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few names."""

    names: tuple[str, ...]

    def allows(self, value: object) -> bool:
        """Whether `value` keeps the rule."""
        return isinstance(value, str) and value in self.names

    def describe(self) -> str:
        """The rule in words."""
        return "one of " + ", ".join(repr(name) for name in self.names)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A string of a given form."""

    expression: str
    words: str
    optional: bool = False

    def allows(self, value: object) -> bool:
        """Whether `value` keeps the rule."""
        if value is None:
            return self.optional
        return isinstance(value, str) and re.fullmatch(self.expression, value) is not None

    def describe(self) -> str:
        """The rule in words."""
        return self.words + (", or None" if self.optional else "")


@dataclass(frozen=True, slots=True)
class Truth:
    """True or False."""

    def allows(self, value: object) -> bool:
        """Whether `value` keeps the rule."""
        return isinstance(value, bool)

    def describe(self) -> str:
        """The rule in words."""
        return "True or False"


def rule_of(setting: Setting) -> Rule:
    """The rule of a number or a choice of the catalog."""
    if setting.kind == "choice":
        return Choice(setting.choices)
    assert setting.minimum is not None, "a rule needs both ends"
    assert setting.maximum is not None, "a rule needs both ends"
    return Number(setting.minimum, setting.maximum, whole=setting.kind == "int", below=setting.below)


def refuse(name: str, value: object, expected: str, default: object) -> InvalidSettingError:
    """The error for a setting that breaks its rule."""
    return InvalidSettingError(
        f"{name}={value!r} was asked for, but {name} must be {expected}; the default is {default!r}"
    )


def check(values: Mapping[str, Any], rules: Mapping[str, Rule], defaults: Mapping[str, Any]) -> None:
    """Check every value that has a rule.

    Raises:
        InvalidSettingError: The first value that breaks its rule, named with what is possible.
    """
    for name, rule in rules.items():
        if not rule.allows(values[name]):
            raise refuse(name, values[name], rule.describe(), defaults.get(name))
