"""Entries of the catalog, with settings, citation and published figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nasviz.catalog.genotype import read_genotype
from nasviz.errors import InvalidSettingError

__all__ = ["Configuration", "Entry", "Figure", "Selection", "Setting", "Value"]

Value = int | float | bool | str
Kind = Literal["int", "float", "choice", "bool", "text", "names", "steps", "share", "genotype"]
"""Kind of a setting. `steps` is a count or a fraction of all steps; `share` is a count or a fraction."""

_WORDS = {
    "bool": "true or false",
    "text": "text",
    "names": "a tuple of names",
    "steps": "a whole number of steps from {}, or a fraction of all steps between 0.0 and 1.0",
    "share": "a whole number from 0, or a fraction from 0.0 to below 1.0",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """Declaration of a setting: its kind, default and range.

    Settings of networks are declared in the catalog; those of runs and search methods are derived from the
    classes of `nasviz.settings`.

    Examples:
        >>> Setting("lr", "float", 0.05, minimum=0.0).check(0.1)
        0.1
    """

    name: str
    kind: Kind
    default: Any
    """Default value; None if the setting is optional."""
    minimum: float | None = None
    maximum: float | None = None
    """Largest value; the range is closed unless `above` or `below` is set."""
    choices: tuple[str, ...] = ()
    help: str = ""
    below: bool = False
    """Whether the maximum is excluded."""
    above: bool = False
    """Whether the minimum is excluded."""
    has_auto: bool = False
    """Whether "auto" is allowed: the value is then determined when the run starts, as `help` explains."""
    label: str = ""
    """Short title; if empty, derived from the name."""
    unit: str = ""
    source: str = ""
    """Reference of the value or the formula."""
    expected: str = ""
    """Description of valid values, if kind and range do not suffice."""
    needs: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    """Other settings, with the values that they must have for this one to take effect."""
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
        """Label of the setting, or its name in words.

        Examples:
            >>> Setting("stem_width", "int", 4).title
            'Stem width'
        """
        return self.label or self.name.replace("_", " ").capitalize()

    def describe(self) -> str:
        """Return a description of valid values, to follow "must be"."""
        if self.expected:
            return self.expected
        words = f"one of {', '.join(self.choices)}" if self.kind == "choice" else _WORDS.get(self.kind, "")
        words = words.format(int(self.minimum or 0))
        if self.kind in ("int", "float"):
            words = ("a whole number" if self.kind == "int" else "a number") + self._range()
        return words + (" or 'auto'" if self.has_auto else "")

    def check(self, value: Value | None) -> Value | None:
        """Return the checked value; integers are converted if the kind is float.

        Raises:
            InvalidSettingError: The value is of another kind or out of range.
        """
        if value is None and self.default is None:
            return None
        if self.kind == "genotype":
            return read_genotype(value).text
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
        # Every comparison with NaN is false, so these conditions reject NaN.
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
    """A published figure."""

    what: str
    """Quantity: params, macs, top1, top5, error, or sub_params, ... of the sub-network."""
    text: str
    """Text as published, with its unit."""
    value: float
    """Value as a number; accuracies in percent."""
    source: str
    """Publication and table."""
    note: str = ""
    """Reason for a difference from the network here."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A published set of redundant structures."""

    source: str
    """Publication and figure."""
    modules: tuple[str, ...]
    """One module of each structure."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """A published configuration of a network."""

    title: str
    printed: tuple[Figure, ...]
    counted: Mapping[str, int]
    """Exact counts of the network here, by quantity."""
    settings: Mapping[str, Value] = field(default_factory=dict)
    """Settings that differ from their defaults."""
    input_shape: tuple[int, ...] | None = None
    """Input shape; None for the default of the network."""
    num_classes: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A network, saliency or data set of the catalog."""

    name: str
    title: str
    summary: str
    """Summary in one sentence."""
    settings: tuple[Setting, ...] = ()
    citation: str = ""
    published: Mapping[str, float] = field(default_factory=dict)
    """Published or defining figures by quantity."""
    configurations: tuple[Configuration, ...] = ()
    """Published configurations, the default first; networks only."""
    selection: Selection | None = None
    """Published redundant structures; networks only."""
    recipe: Mapping[str, Value] = field(default_factory=dict)
    """Published training settings that differ from the defaults of a run; networks only."""
    collapse: tuple[str, ...] = ()
    """Class names of modules that should be collapsed to one vertex; networks only."""
    cells: tuple[str, ...] = ()
    """Class names of cells whose operations are tied by cell type; networks only."""
    edges_per_node: int = 2
    """Edges per node that differentiable search keeps, as published; 0 keeps all; networks only."""
    family: str = ""
    input_shape: tuple[int, ...] = ()
    """Default shape of one image, (C, H, W); networks only."""
    least_size: int = 1
    """Smallest supported height and width; networks only."""
    num_classes: int = 0
    """Default number of classes; networks and data sets."""
    formula: str = ""
    """Formula of a saliency."""
    caution: str = ""
    """Limitations."""
    builder: str | Callable[..., Any] = ""
    """Returns the module: a callable, or `package.module:name`, imported when it is built; networks only."""

    def complete(self, chosen: Mapping[str, Value | None]) -> dict[str, Value | None]:
        """Return all settings of this entry: the checked `chosen` values, and defaults for the rest.

        Raises:
            InvalidSettingError: A setting is unknown or out of range.
        """
        known = {setting.name: setting for setting in self.settings}
        if unknown := sorted(set(chosen) - set(known)):
            available = ", ".join(known) or "none"
            raise InvalidSettingError(
                f"{self.name} has no setting {', '.join(map(repr, unknown))}; its settings: {available}"
            )
        return {name: setting.check(chosen.get(name, setting.default)) for name, setting in known.items()}
