"""Add networks and data sets of other packages to the catalog."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from nasviz.catalog.datasets import DATASETS, FACTS, DataFacts, entry_of
from nasviz.catalog.entry import Entry, Setting, Value
from nasviz.catalog.networks import NETWORKS
from nasviz.errors import InvalidSettingError

__all__ = ["REGISTERED", "register_dataset", "register_network", "resolve"]

REGISTERED = "registered"
"""Family of the networks that other packages have registered."""
_GIVEN = ("num_classes", "in_channels", "size")
"""Arguments of a builder that are no settings."""
_KINDS = {int: "int", float: "float", bool: "bool", str: "text"}
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def register_network(
    *,
    name: str = "",
    title: str = "",
    summary: str = "",
    input_shape: tuple[int, int, int] = (3, 32, 32),
    num_classes: int = 10,
    settings: tuple[Setting, ...] | None = None,
    least_size: int = 1,
    collapse: tuple[str, ...] = (),
    cells: tuple[str, ...] = (),
    recipe: Mapping[str, Value] | None = None,
    source: str = "",
) -> Callable[[FunctionT], FunctionT]:
    """Add a network to the catalog: `zoo.names()`, `zoo.create`, `--model`, the app, runs and sweeps.

    The decorated function returns the module. It is called with `num_classes` and `in_channels`, with `size`
    (height and width) if it takes that, and with its settings. It imports torch in its body: the declaration
    is read by the server, which has no torch.

    Args:
        name: Name in the catalog; by default that of the function.
        title: What people call it.
        summary: One sentence; by default the first line of the docstring.
        input_shape: (C, H, W) of one image, unless something else is asked for.
        num_classes: Size of the output, unless something else is asked for.
        settings: What can be set; by default the arguments of the function with their defaults.
        least_size: Smallest height and width that the network computes on.
        collapse: Classes of modules that are best taken as one vertex each.
        cells: Classes of cells whose operations are searched type by type.
        recipe: Settings of a run that differ from the defaults.
        source: Publication.

    Raises:
        InvalidSettingError: The name is taken, or an argument of the function has no default.

    Examples:
        >>> @register_network(input_shape=(1, 8, 8))
        ... def two_layers(num_classes: int, in_channels: int, hidden: int = 16):
        ...     '''Two linear layers.'''
        ...     from torch import nn
        ...
        ...     return nn.Sequential(nn.Flatten(), nn.Linear(64 * in_channels, hidden), nn.ReLU())
        >>> NETWORKS.pop("two_layers").settings[0].default
        16
    """

    def decorate(function: FunctionT) -> FunctionT:
        key = name or function.__name__
        entry = Entry(
            key,
            title or key.replace("_", " ").capitalize(),
            summary or _first_line(function),
            settings=_settings_of(function) if settings is None else settings,
            citation=source,
            recipe=recipe or {},
            collapse=collapse,
            cells=cells,
            family=REGISTERED,
            input_shape=input_shape,
            least_size=least_size,
            num_classes=num_classes,
            builder=function,
        )
        _require_free(key, NETWORKS.get(key), function)
        NETWORKS[key] = entry
        return function

    return decorate


def register_dataset(
    *,
    name: str = "",
    title: str = "",
    summary: str = "",
    channels: int = 3,
    size: int,
    num_classes: int,
    num_train: int,
    num_validation: int,
    layout: str = "",
    source: str = "",
) -> Callable[[FunctionT], FunctionT]:
    """Add a data set to the catalog: `--data`, the forms of the app, runs and sweeps.

    The decorated function returns what to learn from and what to judge by: each a map-style data set of
    torch, or a pair of tensors of all examples and all labels. It gets `folder`, `image_shape` and `seed` if
    it takes arguments of these names. It imports torch in its body.

    Args:
        name: Name in the catalog; by default that of the function.
        title: What people call it.
        summary: One sentence; by default the first line of the docstring.
        channels: Of an image.
        size: Height and width of an image, in pixels.
        num_classes: Number of classes.
        num_train: Number of examples to learn from.
        num_validation: Number of examples to judge by.
        layout: What a folder of it looks like, in words; empty if it needs no folder.
        source: Publication.

    Raises:
        InvalidSettingError: The name is taken.
    """

    def decorate(function: FunctionT) -> FunctionT:
        key = name or function.__name__
        facts = DataFacts(
            key,
            channels=channels,
            size=size,
            num_classes=num_classes,
            num_train=num_train,
            num_validation=num_validation,
            text=summary or _first_line(function),
            layout=layout,
            loader=function,
        )
        _require_free(key, FACTS.get(key), function)
        FACTS[key] = facts
        DATASETS[key] = entry_of(facts, title or key.replace("_", " ").capitalize(), source)
        return function

    return decorate


def resolve(target: str | Callable[..., Any]) -> Callable[..., Any]:
    """Return a callable that is given as itself, or as `package.module:name`."""
    if not isinstance(target, str):
        return target
    module, _, attribute = target.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return found


def _require_free(name: str, known: Entry | DataFacts | None, function: Callable[..., Any]) -> None:
    if not name.isidentifier() or len(name) > 64:
        raise InvalidSettingError(
            f"{name!r} cannot be a name of the catalog: use at most 64 letters, digits and underscores"
        )
    if known is None:
        return
    old = known.builder if isinstance(known, Entry) else known.loader
    # A module that is executed again, as in a notebook, replaces what it has registered itself.
    is_same = callable(old) and (old.__module__, old.__qualname__) == (
        function.__module__,
        function.__qualname__,
    )
    if not is_same:
        raise InvalidSettingError(f"{name!r} is already a name of the catalog; register it by another name")


def _first_line(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]


def _settings_of(function: Callable[..., Any]) -> tuple[Setting, ...]:
    """Return the arguments of a builder as settings, by their annotations and defaults."""
    hints = typing.get_type_hints(function)
    found = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in _GIVEN:
            continue
        kind, choices = hints.get(parameter.name, type(parameter.default)), ()
        if typing.get_origin(kind) is Literal:
            kind, choices = "choice", typing.get_args(kind)
        else:
            kind = _KINDS.get(kind)
        if parameter.default is parameter.empty or kind is None:
            raise InvalidSettingError(
                f"{parameter.name} of {function.__name__} needs a default that is a number, a text or a truth"
                " value; or give register_network its settings"
            )
        found.append(Setting(parameter.name, kind, parameter.default, choices=choices))
    return tuple(found)
