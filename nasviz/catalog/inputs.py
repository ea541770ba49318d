"""Input specifications of user-defined networks, written as one line of text per argument.

`3,32,32` is one image. Otherwise the first size, or `N`, is the batch: `N,1,16000` is audio, `1,3,8,64,64` a
video, `int64:N,16<1000` sixteen tokens from a vocabulary of 1,000. A prefix names the argument, as in
`mask=bool:N,16`, or an entry of a dict, as in `batch.rgb=N,3,8,8`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from nasviz.errors import InvalidSettingError

__all__ = ["HOW_TO_WRITE", "InputSpec", "image_and_others", "read_inputs"]

FLOATS = ("float32", "float64", "float16", "bfloat16")
WHOLE = ("int64", "int32")
_TYPES = {"float": "float32", "int": "int64", "bool": "bool"} | {name: name for name in (*FLOATS, *WHOLE)}
_FORM = re.compile(
    r"(?:(?P<name>[A-Za-z_]\w*(?:\.\w+)*)=)?(?:(?P<type>[A-Za-z]\w*):)?(?P<sizes>[^<=:]*?)(?:<(?P<below>\d{1,9}))?",
    re.ASCII,
)
_NUMBER = re.compile(r"[0-9]{1,9}")
_MOST_AXES = 7
_MOST_NUMBERS = 2**27
HOW_TO_WRITE = (
    "3,32,32 for one image; otherwise batch first: N,1,16000, or int64:N,16<1000 for integers below 1000"
)


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Specification of one argument of a network: shape of one example, data type and range.

    Raises:
        InvalidSettingError: A part is out of range, or parts are inconsistent.
    """

    shape: tuple[int, ...]
    """Shape without the batch axis."""
    dtype: str = "float32"
    """Name of the torch data type."""
    below: int | None = None
    """Exclusive upper bound of integers; None: the size of the smallest embedding that they index."""
    name: str = ""
    """Name of the argument, with an entry of a dict after a dot; empty for a positional argument."""

    def __post_init__(self) -> None:
        sizes = self.shape if isinstance(self.shape, tuple) else (0,)
        if len(sizes) > _MOST_AXES or not all(type(size) is int and size > 0 for size in sizes):
            raise InvalidSettingError(
                f"the sizes of an input must be at most {_MOST_AXES} positive integers; got {self.shape!r}"
            )
        if prod(sizes) > _MOST_NUMBERS:
            raise InvalidSettingError(f"one example of {self} has more than {_MOST_NUMBERS:,} elements")
        if self.dtype not in _TYPES.values():
            raise InvalidSettingError(
                f"unknown input type {self.dtype!r}; known: {', '.join(dict.fromkeys(_TYPES.values()))}"
            )
        if self.below is not None and (self.dtype not in WHOLE or self.below < 1):
            raise InvalidSettingError(
                f"<{self.below} requires a positive bound and an integer type, but the input is {self.dtype};"
                f" write int64:{self._sizes()}<1000"
            )

    def __str__(self) -> str:
        name = f"{self.name}=" if self.name else ""
        kind = "" if self.dtype == "float32" else f"{self.dtype}:"
        return f"{name}{kind}{self._sizes()}" + ("" if self.below is None else f"<{self.below}")

    def _sizes(self) -> str:
        return ",".join(["N", *map(str, self.shape)])

    @property
    def is_image(self) -> bool:
        """Whether the input is an image (C, H, W) without further specification."""
        return self == InputSpec(self.shape) and len(self.shape) == 3

    @classmethod
    def parse(cls, text: str) -> InputSpec:
        """Parse the textual form, which `str` returns.

        Raises:
            InvalidSettingError: The text is malformed; the message explains the syntax.

        Examples:
            >>> InputSpec.parse("1,3,224,224") == InputSpec.parse("3x224x224") == InputSpec((3, 224, 224))
            True
            >>> InputSpec.parse("tokens=int:1,16<1000")
            InputSpec(shape=(16,), dtype='int64', below=1000, name='tokens')
        """
        form = _FORM.fullmatch(text.strip())
        parts = [part for part in re.split(r"[\s,x×]+", form["sizes"].strip()) if part] if form else []
        says_batch = parts[:1] == ["N"]
        sizes = parts[1:] if says_batch else parts
        if not form or not parts or parts == sizes[:1] or not all(map(_NUMBER.fullmatch, sizes)):
            raise InvalidSettingError(f"{text.strip()[:80]!r} is not an input; write {HOW_TO_WRITE}")
        is_image = form["type"] is None and form["below"] is None and len(sizes) == 3
        sizes = sizes if says_batch or is_image else sizes[1:]
        kind = (form["type"] or "float32").lower()
        below = int(form["below"]) if form["below"] else None
        return cls(tuple(map(int, sizes)), _TYPES.get(kind, kind), below, form["name"] or "")


def image_and_others(specs: Iterable[InputSpec]) -> tuple[tuple[int, ...] | None, tuple[InputSpec, ...]]:
    """Return the shape of a single image input, or None and all inputs.

    Examples:
        >>> image_and_others([InputSpec.parse("1,3,8,8")])
        ((3, 8, 8), ())
    """
    found = tuple(specs)
    return (found[0].shape, ()) if len(found) == 1 and found[0].is_image else (None, found)


def read_inputs(text: str) -> tuple[InputSpec, ...]:
    """Parse inputs separated by semicolons.

    Raises:
        InvalidSettingError: An input is malformed.

    Examples:
        >>> [str(spec) for spec in read_inputs("3,8,8; int64:N,16<10")]
        ['N,3,8,8', 'int64:N,16<10']
    """
    return tuple(InputSpec.parse(part) for part in text.split(";") if part.strip())
