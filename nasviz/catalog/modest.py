"""Whether a network is of a size that the catalog lists, or of one that somebody has chosen.

Tracing takes time and memory that grow with input, width and classes. What is no larger than a listed form
may be opened by a link in one step; anything larger waits until a person has seen the size.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from nasviz.catalog.entry import Entry, Value
from nasviz.catalog.source import NetworkSource

__all__ = ["is_modest"]

SMALL_INPUT = 3 * 32 * 32
"""Numbers of an input that no network of the catalog finds heavy."""
USUAL_INPUT = 3 * 224 * 224
"""Numbers of the input of a network whose own size is not known without building it."""
USUAL_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class _Form:
    settings: dict[str, Value | None]
    num_inputs: int
    num_classes: int


def is_modest(source: NetworkSource) -> bool:
    """Return whether a network is no larger than a form that the catalog lists.

    There must be one form, the default or one of the documents', such that no number of `source` is larger,
    its choices are the same, its input holds no more numbers (up to 3x32x32 is always fine), and it has no
    more classes (up to 1,000 is always fine). A network of timm counts with inputs up to 3x224x224, a saved
    sub-network always: its size was decided when it was saved. Code of a user never does.

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
