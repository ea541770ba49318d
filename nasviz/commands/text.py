"""Text for a terminal: names come from models and files, so nothing in them may steer it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

__all__ = ["plain", "say", "table"]


def plain(text: str) -> str:
    r"""One line without control characters.

    Examples:
        >>> plain("conv\x1b[31m1\n")
        'conv?[31m1?'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def say(text: str) -> None:
    """Print one line without control characters: a folder's name may hold any."""
    print(plain(text), flush=True)  # noqa: T201 (a command says something)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    r"""Lines with aligned columns, numbers to the right.

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
