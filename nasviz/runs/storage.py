"""What a disk refuses, in words: full, read-only, not permitted. Nothing that was whole before is lost."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nasviz.errors import StorageError
from nasviz.guarded_files import refusal

__all__ = ["storage_error", "told"]

_SQLITE_FORBIDDEN = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM})
_PRIMARY = 0xFF
"""The part of a code of SQLite that tells what failed; the rest tells where."""


def storage_error(path: Path, error: OSError | sqlite3.Error) -> StorageError:
    """That `path` cannot be written or read, why, and what to do.

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
            f"{path} may not be read or written by this user; give it the right to, or choose another folder"
            " of runs with --runs DIR"
        )
    return refusal(
        path, OSError(number, getattr(error, "strerror", None) or str(error)), "then resume the run"
    )


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Raise what the disk refuses in the block as an error that says so.

    Raises:
        StorageError: The disk refused; errors that say that a file is missing pass.
    """
    try:
        yield
    except (FileNotFoundError, StorageError):
        raise
    except OSError as error:
        raise storage_error(path, error) from error
