"""What a network of the user's own takes, in one line of text for each argument.

`3,32,32` is one image. For all else the first number, or `N`, is the batch: `N,1,16000` is a sound,
`1,3,8,64,64` a film, `int64:N,16<1000` sixteen tokens of a vocabulary of a thousand. A name before it,
`mask=bool:N,16`, is the argument's own, and `batch.rgb=N,3,8,8` the entry of a dict.
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
    "3,32,32 for one image; else the batch first: N,1,16000, or int64:N,16<1000 for whole numbers below 1000"
)


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One argument of a network: the shape of one example, and what its numbers are.

    Raises:
        InvalidSettingError: A part is out of range, or parts do not fit each other.
    """

    shape: tuple[int, ...]
    """Without the batch."""
    dtype: str = "float32"
    """As torch calls it."""
    below: int | None = None
    """Whole numbers are drawn from 0 to below this; None: below the smallest table they are looked up in."""
    name: str = ""
    """Of the argument, and of an entry in it after a dot; empty: by its place."""

    def __post_init__(self) -> None:
        sizes = self.shape if isinstance(self.shape, tuple) else (0,)
        if len(sizes) > _MOST_AXES or not all(type(size) is int and size > 0 for size in sizes):
            raise InvalidSettingError(
                f"the sizes of an input must be at most {_MOST_AXES} whole numbers above 0; got"
                f" {self.shape!r}"
            )
        if prod(sizes) > _MOST_NUMBERS:
            raise InvalidSettingError(f"one example of {self} holds more than {_MOST_NUMBERS:,} numbers")
        if self.dtype not in _TYPES.values():
            raise InvalidSettingError(
                f"{self.dtype!r} is no type of an input; known: {', '.join(dict.fromkeys(_TYPES.values()))}"
            )
        if self.below is not None and (self.dtype not in WHOLE or self.below < 1):
            raise InvalidSettingError(
                f"<{self.below} bounds whole numbers, from 0 on, and the input is {self.dtype}; write"
                f" int64:{self._sizes()}<1000"
            )

    def __str__(self) -> str:
        name = f"{self.name}=" if self.name else ""
        kind = "" if self.dtype == "float32" else f"{self.dtype}:"
        return f"{name}{kind}{self._sizes()}" + ("" if self.below is None else f"<{self.below}")

    def _sizes(self) -> str:
        return ",".join(["N", *map(str, self.shape)])

    @property
    def is_image(self) -> bool:
        """Whether it is (C, H, W) of one image and nothing else is said of it."""
        return self == InputSpec(self.shape) and len(self.shape) == 3

    @classmethod
    def parse(cls, text: str) -> InputSpec:
        """Read what a person writes; `str` writes it back.

        Raises:
            InvalidSettingError: It cannot be read; the message says how to write it.

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
            raise InvalidSettingError(f"{text.strip()[:80]!r} is no input; write {HOW_TO_WRITE}")
        is_image = form["type"] is None and form["below"] is None and len(sizes) == 3
        sizes = sizes if says_batch or is_image else sizes[1:]
        kind = (form["type"] or "float32").lower()
        below = int(form["below"]) if form["below"] else None
        return cls(tuple(map(int, sizes)), _TYPES.get(kind, kind), below, form["name"] or "")


def image_and_others(specs: Iterable[InputSpec]) -> tuple[tuple[int, ...] | None, tuple[InputSpec, ...]]:
    """The shape of the image where one is all that a network takes, else all inputs.

    Examples:
        >>> image_and_others([InputSpec.parse("1,3,8,8")])
        ((3, 8, 8), ())
    """
    found = tuple(specs)
    return (found[0].shape, ()) if len(found) == 1 and found[0].is_image else (None, found)


def read_inputs(text: str) -> tuple[InputSpec, ...]:
    """Inputs that stand in one line, with semicolons between them.

    Raises:
        InvalidSettingError: One of them cannot be read.

    Examples:
        >>> [str(spec) for spec in read_inputs("3,8,8; int64:N,16<10")]
        ['N,3,8,8', 'int64:N,16<10']
    """
    return tuple(InputSpec.parse(part) for part in text.split(";") if part.strip())
