"""Error handling for damaged run folders: one bad run never hides or stops the others.

Documents are validated where they are read. Anything that validation missed ends here: code that reads one
run of many does so inside `as_damage`, so that no folder can raise anything but a `NasvizError`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nasviz.errors import DataError, NasvizError, StorageError

__all__ = ["as_damage", "describe_problem"]

_UNEXPECTED = (
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError),
    *(MemoryError, sqlite3.Error),
)
"""Exceptions that unexpected values may raise."""


@contextmanager
def as_damage(folder: Path) -> Iterator[None]:
    """Convert unexpected exceptions while reading `folder` to `DataError`.

    Examples:
        >>> with as_damage(Path("runs/a")):
        ...     int("x")
        Traceback (most recent call last):
        nasviz.errors.DataError: runs/a is damaged (ValueError: invalid literal for int() ...
    """
    try:
        yield
    except NasvizError:
        raise
    except _UNEXPECTED as error:
        raise DataError(
            f"{folder} is damaged ({type(error).__name__}: {str(error)[:200]}); restore it from a backup, or"
            " delete it"
        ) from error


def describe_problem(error: NasvizError) -> str:
    """Return the text that a list shows for a run that raised `error`."""
    return str(error) if isinstance(error, StorageError) else f"damaged: {error}"
