"""What is wrong with a run folder, in one sentence: a bad run never hides or stops the others.

Documents are checked where they are read. What a check did not foresee ends here: whoever reads one run of
many does it in `as_damage`, so that nothing in a folder can raise anything but a `NasvizError`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nasviz.errors import DataError, NasvizError, StorageError

__all__ = ["as_damage", "described"]

_UNFORESEEN = (
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError),
    *(MemoryError, sqlite3.Error),
)
"""What Python raises on values that it did not expect."""


@contextmanager
def as_damage(folder: Path) -> Iterator[None]:
    """Raise whatever the contents of `folder` lead to as a `DataError`.

    Examples:
        >>> with as_damage(Path("runs/a")):
        ...     int("x")
        Traceback (most recent call last):
        nasviz.errors.DataError: runs/a cannot be understood (ValueError: invalid literal for int() ...
    """
    try:
        yield
    except NasvizError:
        raise
    except _UNFORESEEN as error:
        raise DataError(
            f"{folder} cannot be understood ({type(error).__name__}: {str(error)[:200]}); restore it from a"
            " copy, or delete it"
        ) from error


def described(error: NasvizError) -> str:
    """Return what a list says of a run that raised `error`."""
    return str(error) if isinstance(error, StorageError) else f"damaged: {error}"
