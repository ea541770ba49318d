"""Text for a terminal. Names come from networks and files, so control characters in them are replaced."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, TextIO

__all__ = ["Steady", "answer", "plain", "progress", "say", "table", "typed"]

typed: ContextVar[tuple[str, ...]] = ContextVar("typed", default=())
"""The words after `nasviz` of the command that runs."""


class Steady:
    """Output of work that goes on without its reader: a closed terminal or pipe must not end a training.

    Args:
        out: Written to until it refuses for the first time.
    """

    def __init__(self, out: TextIO) -> None:
        self._out: TextIO | None = out

    def write(self, text: str) -> None:
        """Write `text`, as long as the output is open."""
        try:
            if self._out is not None:
                self._out.write(text)
        except OSError:
            self._give_up()

    def flush(self) -> None:
        """Flush what was written."""
        try:
            if self._out is not None:
                self._out.flush()
        except OSError:
            self._give_up()

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._out is not None and self._out.isatty()

    def _give_up(self) -> None:
        from nasviz.runs.stopping import leave_terminal

        self._out = None
        leave_terminal()


def plain(text: str) -> str:
    r"""Return one line without control characters.

    Examples:
        >>> plain("conv\x1b[31m1\n")
        'conv?[31m1?'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def say(text: str, out: TextIO | None = None) -> None:
    """Print one line without control characters: the name of a folder may hold any."""
    print(plain(text), file=out or sys.stdout, flush=True)


def progress(*, json: bool, quiet: bool = False) -> TextIO | None:
    """Return where progress is printed: nowhere, or stderr where stdout is JSON."""
    return None if quiet else sys.stderr if json else sys.stdout


def answer(*, json: bool, document: Any, lines: Iterable[str]) -> None:
    """Print the result of a command as JSON, or as lines."""
    if json:
        print(json_format.dumps(document, indent=2))  # noqa: T201
        return
    for line in lines:
        say(line)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    r"""Yield lines with aligned columns, numbers to the right.

    Examples:
        >>> print(*table(("id", "name"), [(1, "conv2"), (10, "add")]), sep="\n")
        id  name
         1  conv2
        10  add
    """
    cells = [tuple(header), *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    is_number = [all(_is_number(row[column]) for row in cells[1:]) for column in range(len(header))]
    for row in cells:
        aligned = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        )
        yield "  ".join(aligned).rstrip()


def _is_number(cell: str) -> bool:
    return not cell.strip("0123456789,.%-")
