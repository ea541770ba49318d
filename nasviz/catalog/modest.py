"""Size check of networks that are opened by a link.

Time and memory for tracing grow with input, width and classes. A network within a listed configuration may be
opened directly; a larger one needs consent.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from nasviz.catalog.entry import Entry, Value
from nasviz.catalog.source import NetworkSource

__all__ = ["is_modest"]

SMALL_INPUT = 3 * 32 * 32
"""Input size in elements that is cheap for every network of the catalog."""
USUAL_INPUT = 3 * 224 * 224
"""Input size in elements allowed for networks whose default is unknown without building them."""
USUAL_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class _Form:
    settings: dict[str, Value | None]
    num_inputs: int
    num_classes: int


def is_modest(source: NetworkSource) -> bool:
    """Return whether a network is no larger than a configuration of the catalog.

    There must be a configuration (default or published) with the same choices, in which no numeric setting is
    smaller, the input has at least as many elements (3x32x32 is always allowed), and there are at least as
    many classes (1,000 are always allowed). Networks of timm are allowed with inputs up to 3x224x224, saved
    sub-networks always, user code never.

    Examples:
        >>> is_modest(NetworkSource("demonet", (3, 32, 32), settings={"width": 0.5}))
        True
        >>> (
        ...     is_modest(NetworkSource("demonet", (3, 512, 512))),
        ...     is_modest(NetworkSource("nets:f", trust=("/x",))),
        ... )
        (False, False)
    """
    if source.subnet is not None:
        return True
    if source.is_callable:
        return False
    entry = source.entry
    classes = source.num_classes or 0
    if entry is None:
        return classes <= USUAL_CLASSES and prod(source.input_shape or ()) <= USUAL_INPUT
    chosen = entry.complete(dict(source.settings))
    num_inputs = prod(source.input_shape or entry.input_shape)
    return any(
        num_inputs <= max(form.num_inputs, SMALL_INPUT)
        and classes <= max(form.num_classes, USUAL_CLASSES)
        and all(_is_within(value, form.settings[name]) for name, value in chosen.items())
        for form in _forms(entry)
    )


def _forms(entry: Entry) -> list[_Form]:
    listed = [_Form(entry.complete({}), prod(entry.input_shape), entry.num_classes)]
    for form in entry.configurations:
        shape = form.input_shape or entry.input_shape
        listed.append(
            _Form(entry.complete(form.settings), prod(shape), form.num_classes or entry.num_classes)
        )
    return listed


def _is_within(value: Value | None, listed: Value | None) -> bool:
    if isinstance(value, bool | str) or isinstance(listed, bool | str) or value is None or listed is None:
        return value == listed
    return value <= listed
