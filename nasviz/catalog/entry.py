"""One row of the catalog: what can be chosen, with its settings, its source and its published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from nasviz.errors import InvalidSettingError

__all__ = ["Configuration", "Entry", "Figure", "Setting", "Value"]

Value = int | float | bool | str
Kind = Literal["int", "float", "choice", "bool"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that a person may choose, and what it may be.

    Examples:
        >>> Setting("lr", "float", 0.05, minimum=0.0).check(0.1)
        0.1
    """

    name: str
    kind: Kind
    default: Value | None
    """None: worked out where it is used, as `help` says."""
    minimum: float | None = None
    maximum: float | None = None
    """Both ends belong to the range, unless `below` is set."""
    choices: tuple[str, ...] = ()
    help: str = ""
    below: bool = False
    """The maximum itself is out of range."""

    def check(self, value: Value | None) -> Value | None:
        """The value itself; a whole number becomes a float where a float is asked for.

        Raises:
            InvalidSettingError: It is of another kind, or out of range.
        """
        if value is None and self.default is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if self.kind == "choice" and value not in self.choices:
            raise self._refuse(value, f"one of {', '.join(self.choices)}")
        if self.kind == "bool" and not isinstance(value, bool):
            raise self._refuse(value, "true or false")
        if self.kind == "int" and not (is_number and isinstance(value, int)):
            raise self._refuse(value, f"a whole number{self._range()}")
        if self.kind == "float" and not is_number:
            raise self._refuse(value, f"a number{self._range()}")
        if is_number and isinstance(value, int | float) and not self._holds(value):
            raise self._refuse(value, f"a number{self._range()}")
        return float(value) if self.kind == "float" and isinstance(value, int) else value

    def _holds(self, value: float) -> bool:
        # Written so that NaN, which compares as false, falls out of every range.
        above = value >= (float("-inf") if self.minimum is None else self.minimum)
        top = float("inf") if self.maximum is None else self.maximum
        return above and (value < top if self.below or self.maximum is None else value <= top)

    def _range(self) -> str:
        low = "" if self.minimum is None else f" from {self.minimum:g}"
        word = "to below" if self.below else "to"
        return low + ("" if self.maximum is None else f" {word} {self.maximum:g}")

    def _refuse(self, value: object, allowed: str) -> InvalidSettingError:
        return InvalidSettingError(
            f"the setting {self.name!r} must be {allowed}; got {value!r} instead (default: {self.default!r})"
        )


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
    """A network, an optimizer, a saliency or a data set, as a person chooses it."""

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
    has_target: bool = True
    """Whether it takes K, or finds by itself how much goes; optimizers only."""
    num_batches: int = 1
    """Batches that one step takes, each from its own part of the training images; optimizers only."""

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
