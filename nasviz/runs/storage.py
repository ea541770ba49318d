"""Errors of the file system as `StorageError`: disk full, read-only, permission denied."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nasviz.errors import DataError, NasvizError, StorageError
from nasviz.guarded_files import refusal

__all__ = ["as_damage", "describe_problem", "storage_error", "translate_errors"]

_SQLITE_FORBIDDEN = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM})
_PRIMARY = 0xFF
"""Mask for the primary result code of SQLite in an extended one."""


def storage_error(path: Path, error: OSError | sqlite3.Error) -> StorageError:
    """Return an error that says why `path` cannot be read or written, and what to do.

    Examples:
        >>> import errno
        >>> print(storage_error(Path("runs/a/end.json"), OSError(errno.ENOSPC, "No space left on device")))
        runs/a/end.json cannot be written: the disk is full; free some space there, then resume the run
    """
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    number = error.errno if isinstance(error, OSError) else None
    if code == sqlite3.SQLITE_FULL:
        number = errno.ENOSPC
    if number in (errno.EACCES, errno.EPERM, errno.EROFS) or code in _SQLITE_FORBIDDEN:
        return StorageError(
            f"permission denied: {path}; change its permissions, or choose another folder with --runs DIR"
        )
    return refusal(
        path, OSError(number, getattr(error, "strerror", None) or str(error)), "then resume the run"
    )


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Convert errors of the file system in the block to `StorageError`; `FileNotFoundError` passes.

    Raises:
        StorageError: The file system refused an operation.
    """
    try:
        yield
    except (FileNotFoundError, StorageError):
        raise
    except OSError as error:
        raise storage_error(path, error) from error


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
