"""Search methods as data: settings, phases, recorded vectors and warnings of each, and the registry of all.

A method is a class of settings, which needs no torch. Its other half, which trains, is imported only where
a run is trained: `prepare` and `build` of the module that the class names in `implementation`, or methods of
the class that import torch inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from nasviz.errors import InvalidSettingError, UnknownNameError, require_type
from nasviz.settings.base import Settings, nearest
from nasviz.settings.fields import setting

if TYPE_CHECKING:
    from nasviz.settings.schedule import Schedule

__all__ = [
    "COSINES",
    "METHODS",
    "NORMS",
    "RATE",
    "SALIENCY",
    "MethodSettings",
    "Phase",
    "Vector",
    "find_method",
    "method_settings",
    "methods_with",
    "register_method",
]

RATE: dict[str, Any] = {"gt": 0, "le": 1000.0}
"""Bounds of a learning rate."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a run."""

    name: str
    """As the steps are recorded: "warm-up", "projection", "search" or "training"."""
    num_steps: int
    purpose: str
    """What its steps do, after the number of steps: "of warm-up"."""


@dataclass(frozen=True, slots=True)
class Vector:
    """A quantity that is recorded for every structure while a run trains."""

    table: str
    """Table of the store that holds it: "scores", "norms" or "cosines"."""
    label: str
    """What it is, as the heat map and the graph name it."""
    low: str = "redundant"
    """What a small value means."""
    high: str = "important"
    zero_at: float | None = None
    """A structure whose newest value is at most this has been silenced; None: the value does not tell."""
    weighs: bool = False
    """Whether the output of a structure is multiplied by it; the strongest of each edge is marked then."""
    num_kept: int | None = None
    """Edges that each node keeps, with the strongest operation of each; 0: all edges. None: no such rule."""


SALIENCY = Vector("scores", "Saliency")
NORMS = Vector("norms", "Norm", "low", "high")
COSINES = Vector("cosines", "Gradient cosine", "low", "high")


class MethodSettings(Settings):
    """What every search method has: a name, a description, and a learning rate."""

    title: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    """One sentence."""
    citation: ClassVar[str] = ""
    caution: ClassVar[str] = ""
    """What it cannot see or do."""
    implementation: ClassVar[str] = ""
    """Module with the functions `build` and, where the network needs a change first, `prepare`."""
    num_batches: ClassVar[int] = 1
    """Batches that one step takes, each from its own part of the training images."""
    is_distributed: ClassVar[bool] = True
    """Whether several processes can share a step."""
    data_kinds: ClassVar[tuple[str, ...]] = ("images",)
    """Kinds of data that it can search on: "images", "text"."""
    projection_share: ClassVar[float] = 0.0
    """Share of all steps that counts as projection, for methods without the setting `projection_steps`."""
    lr_schedule: ClassVar[str] = "cosine"
    """Learning-rate schedule of runs that leave it at "auto"."""
    stages: ClassVar[tuple[tuple[str, str], ...]] = (
        ("warm-up", "of warm-up"),
        ("projection", "of projection"),
        ("training", "of further training"),
    )
    """Name and purpose of each phase; the last takes all steps that the others leave."""

    name: str = ""
    lr: float = setting(0.05, "Learning rate", "Learning rate at the first step.", **RATE)

    @classmethod
    def unknown(cls, name: str) -> InvalidSettingError:
        """Return the error for a setting that this method lacks: it names the methods that have it."""
        holders = ", ".join(methods_with(name))
        if holders:
            return InvalidSettingError(f"{cls.title} has no setting {name!r} (available for: {holders})")
        return InvalidSettingError(f"{cls.title} has no setting {name!r}{nearest(name, cls.fields())}")

    @classmethod
    def has(cls, name: str) -> bool:
        """Return whether the method has a setting of that name."""
        return name in cls.fields()

    @property
    def values(self) -> dict[str, Any]:
        """Its settings by name, without the name of the method."""
        return {field: getattr(self, field) for field in self.fields()}

    def chosen(self) -> dict[str, Any]:
        """Return those of its settings that are not at their defaults."""
        return {name: value for name, value in self.values.items() if value != self.fields()[name].default}

    def resolved(self, schedule: Schedule | None = None) -> dict[str, Any]:
        """Return its settings, with "auto" worked out as far as settings and schedule determine it."""
        return self.values

    def notes(self, schedule: Schedule) -> dict[str, str]:
        """Return by name of a setting what it comes to in a run of this length, with numbers."""
        return {}

    def in_short(self) -> list[str]:
        """Return the settings that matter most as short texts, for titles of runs."""
        return []

    def phases(self, schedule: Schedule) -> tuple[Phase, ...]:
        """Return the phases of a run with their lengths in steps; phases without steps are left out."""
        lengths = {"warm-up": schedule.warmup_steps, "projection": schedule.projection_steps}
        found, left = [], schedule.total_steps
        for place, (name, purpose) in enumerate(self.stages):
            count = left if place == len(self.stages) - 1 else lengths[name]
            left -= count
            found.append(Phase(name, count, purpose))
        return tuple(phase for phase in found if phase.num_steps > 0)

    def vectors(self, kept_edges: int = 0) -> tuple[Vector, ...]:
        """Return the quantities that are recorded for every structure, the one to show first.

        Args:
            kept_edges: Edges that each node of a cell keeps in the end.
        """
        return (SALIENCY, COSINES, NORMS)

    def check(self, schedule: Schedule) -> list[str]:
        """Return reasons why these settings cannot reach their goal, each with numbers that would."""
        return []

    def prepare(self, net: Any, space: Any, training: Any) -> tuple[Any, Any]:
        """Return the network that is trained and its search space, on the CPU.

        Args:
            net: The traced network.
            space: Its search space.
            training: What the method has to know of the run, a `nasviz.optim.Training`.
        """
        prepare = getattr(self._module(), "prepare", None)
        return (net, space) if prepare is None else prepare(net, space, self, training)

    def build(self, net: Any, space: Any, training: Any) -> Any:
        """Return the `nasviz.optim.SearchOptimizer` that trains a network and decides what goes.

        In these settings, numbers of steps have taken the place of shares and of "auto".

        Args:
            net: The network that `prepare` returned, on the device of the run.
            space: Its search space.
            training: As for `prepare`.
        """
        return self._module().build(net, space, self, training)

    def _module(self) -> Any:
        return import_module(self.implementation) if self.implementation else None


METHODS: dict[str, type[MethodSettings]] = {}
"""By name, the default first."""
Kind = TypeVar("Kind", bound=type[MethodSettings])


def register_method(kind: Kind) -> Kind:
    """Register a class of settings as a search method: command line, forms, sweeps and runs then know it.

    The class must be importable without torch: the server reads it. `build`, which imports torch inside,
    returns a `nasviz.optim.SearchOptimizer`.

    Raises:
        InvalidSettingError: The class has no name or title, nothing builds it, or the name is taken.

    Examples:
        >>> from typing import Literal
        >>> class MineSettings(MethodSettings):
        ...     title = "Mine"
        ...     implementation = "my_package.mine"
        ...     name: Literal["mine"] = "mine"
        >>> register_method(MineSettings).fields()["lr"].title, METHODS.pop("mine") is MineSettings
        ('Learning rate', True)
    """
    require_type("kind", kind, type, "a class of settings", "decorate a subclass of MethodSettings")
    if not issubclass(kind, MethodSettings):
        raise InvalidSettingError(f"{kind.__name__} is no subclass of nasviz.settings.MethodSettings")
    fields: Mapping[str, Any] = kind.model_fields  # type: ignore[call-overload]
    name = str(fields["name"].default)
    if not name.isidentifier() or name != name.lower() or not kind.title:
        raise InvalidSettingError(
            f"{kind.__name__}: a method needs a title, and a name in lower case without spaces, such as"
            f' name: Literal["mine"] = "mine"; got {name!r}'
        )
    if not kind.implementation and kind.build is MethodSettings.build:
        raise InvalidSettingError(f"{kind.__name__}: nothing builds it; define build, or implementation")
    known = METHODS.get(name)
    if known is not None and (known.__module__, known.__qualname__) != (kind.__module__, kind.__qualname__):
        raise InvalidSettingError(f"{kind.__name__}: {name!r} is the name of {known.__qualname__} already")
    METHODS[name] = kind
    return kind


def find_method(name: str) -> type[MethodSettings]:
    """Return the settings class of a method; upper case and hyphens are read as the name has them.

    Raises:
        UnknownNameError: No method has this name; the message names the nearest and all.

    Examples:
        >>> find_method("H2SPG-OTOv3").title
        'H2SPG of OTOv3'
    """
    found = METHODS.get(name.lower().replace("-", "_")) if isinstance(name, str) else None
    if found is None:
        close = nearest(str(name), METHODS)
        raise UnknownNameError(
            f"no method is called {str(name)[:60]!r}{close}; there are {', '.join(METHODS)}"
        )
    return found


def method_settings(value: object) -> MethodSettings:
    """Return the settings of a method from its name, from a table with a `name`, or as they are.

    Raises:
        NasvizError: No method has this name, or a setting is unknown or out of its range.
    """
    if isinstance(value, MethodSettings):
        return value
    if isinstance(value, str):
        return find_method(value)()
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return find_method(value["name"])(**{k: v for k, v in value.items() if k != "name"})
    raise InvalidSettingError(
        f"method={str(value)[:80]!r} was asked for, but method must be a name, or a table with a name and its"
        f" settings; there are {', '.join(METHODS)}"
    )


def methods_with(name: str) -> tuple[str, ...]:
    """Return the methods that have a setting of that name.

    Examples:
        >>> methods_with("adaptive")
        ('gsparsity', 'sparsenas')
    """
    return tuple(method for method, kind in METHODS.items() if kind.has(name))
