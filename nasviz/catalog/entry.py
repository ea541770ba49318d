"""One row of the catalog: what can be chosen, with its settings, its source and its published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nasviz.errors import InvalidSettingError

__all__ = ["Configuration", "Entry", "Figure", "Setting", "Value"]

Value = int | float | bool | str
Kind = Literal["int", "float", "choice", "bool", "text", "names", "steps", "share"]
"""What a setting is. `steps` are a whole number or a share of all steps; `share` is a count or a share."""

_WORDS = {
    "bool": "true or false",
    "text": "text",
    "names": "a tuple of names",
    "steps": "a whole number of steps from 1, or a share of all steps between 0.0 and 1.0",
    "share": "a whole number from 0, or a share from 0.0 to below 1.0",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that can be chosen, and what it may be.

    Those of networks are written in the catalog; those of runs and search methods are read from the classes
    of `nasviz.settings`.

    Examples:
        >>> Setting("lr", "float", 0.05, minimum=0.0).check(0.1)
        0.1
    """

    name: str
    kind: Kind
    default: Any
    """None: nothing is set."""
    minimum: float | None = None
    maximum: float | None = None
    """Both ends belong to the range, unless `above` or `below` is set."""
    choices: tuple[str, ...] = ()
    help: str = ""
    below: bool = False
    """Whether the maximum itself is out of range."""
    above: bool = False
    """Whether the minimum itself is out of range."""
    has_auto: bool = False
    """Whether it may be "auto": worked out when the run starts, as `help` says."""
    label: str = ""
    """Short title; empty: made from the name."""
    unit: str = ""
    source: str = ""
    """Document that gives the value or the formula."""
    expected: str = ""
    """What it must be, in words, where kind and range do not say it."""
    needs: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    """Other settings with the values without which this one has no effect."""
    group: str = ""
    """Heading under which it is listed."""
    metavar: str = ""
    """Placeholder of its value on the command line."""
    is_axis: bool = True
    """Whether a sweep can vary it."""
    aliases: tuple[str, ...] = ()
    """Further names of its command-line option."""

    @property
    def title(self) -> str:
        """Its label, or its name in words.

        Examples:
            >>> Setting("stem_width", "int", 4).title
            'Stem width'
        """
        return self.label or self.name.replace("_", " ").capitalize()

    def describe(self) -> str:
        """Return what a value must be, in words that follow "must be"."""
        if self.expected:
            return self.expected
        words = f"one of {', '.join(self.choices)}" if self.kind == "choice" else _WORDS.get(self.kind, "")
        if self.kind in ("int", "float"):
            words = ("a whole number" if self.kind == "int" else "a number") + self._range()
        return words + (" or 'auto'" if self.has_auto else "")

    def check(self, value: Value | None) -> Value | None:
        """Return the value; a whole number becomes a float where a float is asked for.

        Raises:
            InvalidSettingError: It is of another kind, or out of range.
        """
        if value is None and self.default is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        is_right = {
            "choice": value in self.choices,
            "bool": isinstance(value, bool),
            "int": is_number and isinstance(value, int),
            "float": is_number,
        }.get(self.kind, True)
        if not is_right or (is_number and isinstance(value, int | float) and not self._holds(value)):
            raise InvalidSettingError(
                f"the setting {self.name!r} must be {self.describe()}; got {value!r} instead (default:"
                f" {self.default!r})"
            )
        return float(value) if self.kind == "float" and isinstance(value, int) else value

    def _holds(self, value: float) -> bool:
        # Written so that NaN, which compares as false, falls out of every range.
        above = value >= (float("-inf") if self.minimum is None else self.minimum)
        top = float("inf") if self.maximum is None else self.maximum
        return above and (value < top if self.below or self.maximum is None else value <= top)

    def _range(self) -> str:
        low = "above" if self.above else "from"
        words = "" if self.minimum is None else f" {low} {self.minimum:g}"
        high = "to below" if self.below else "to"
        high = "and at most" if self.above and not self.below else high
        return words + ("" if self.maximum is None else f" {high} {self.maximum:.15g}")


@dataclass(frozen=True, slots=True)
class Figure:
    """A number as a document prints it."""

    what: str
    """What it measures: params, macs, top1, top5, error, and sub_params, ... of the sub-network."""
    text: str
    """As printed, with its unit."""
    value: float
    """The same as a number; accuracies in percent."""
    source: str
    """Document and table."""
    note: str = ""
    """Why the network here has another one, where it has."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """One form of a network that documents print numbers of."""

    title: str
    printed: tuple[Figure, ...]
    counted: Mapping[str, int]
    """Exact counts of the network here, by the same words."""
    settings: Mapping[str, Value] = field(default_factory=dict)
    """Those that are not at their defaults."""
    input_shape: tuple[int, ...] | None = None
    """None: the network's own."""
    num_classes: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A network, a saliency or a data set, as a person chooses it."""

    name: str
    title: str
    summary: str
    """One sentence."""
    settings: tuple[Setting, ...] = ()
    citation: str = ""
    published: Mapping[str, float] = field(default_factory=dict)
    """Numbers that its authors printed, or that define it, by what they measure."""
    configurations: tuple[Configuration, ...] = ()
    """Forms that documents print numbers of, the default first; networks only."""
    recipe: Mapping[str, Value] = field(default_factory=dict)
    """How its document trains it, where that is not the default of a run; networks only."""
    collapse: tuple[str, ...] = ()
    """Modules that are one operation each, and best taken as one vertex: class names; networks only."""
    cells: tuple[str, ...] = ()
    """Cells whose operations are searched as one, type by type: class names; networks only."""
    edges_per_node: int = 2
    """How many edges of a node a search by softmaxes keeps, as in the cells' paper; 0: all; networks only."""
    family: str = ""
    input_shape: tuple[int, ...] = ()
    """Of one image, (C, H, W), where nothing else is asked for; networks only."""
    least_size: int = 1
    """Smallest height and width that the network computes on; networks only."""
    num_classes: int = 0
    """Where nothing else is asked for; networks and data sets."""
    formula: str = ""
    """How a saliency is computed."""
    caution: str = ""
    """What it cannot see or do."""

    def complete(self, chosen: Mapping[str, Value | None]) -> dict[str, Value | None]:
        """Every setting of this entry: what was chosen, checked, and the defaults for the rest.

        Raises:
            InvalidSettingError: A setting is unknown here, or out of its range.
        """
        known = {setting.name: setting for setting in self.settings}
        if unknown := sorted(set(chosen) - set(known)):
            offers = ", ".join(known) or "none"
            raise InvalidSettingError(
                f"{self.name} has no setting {', '.join(map(repr, unknown))}; its settings: {offers}"
            )
        return {name: setting.check(chosen.get(name, setting.default)) for name, setting in known.items()}
