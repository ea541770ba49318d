"""The SQLite file of a run: one writer, any number of readers that never hold it up.

Write-ahead logging lets readers see the last commit while the writer goes on; `synchronous=NORMAL` leaves
the commits of the last moments to the operating system, which outlives a killed process. Vectors are
little-endian float32 BLOBs.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from nasviz.errors import DataError, NasvizError, StorageError
from nasviz.runs.files import DATABASE, require_folder
from nasviz.runs.storage import storage_error

__all__ = ["VECTOR_TABLES", "open_reader", "open_writer", "stamp"]

VERSION = 1
YOUNG_NS = 20_000_000
VECTOR_TABLES = ("scores", "norms", "cosines")

SCHEMA = f"""
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE steps (
    step INTEGER PRIMARY KEY, epoch INTEGER, phase TEXT, loss REAL, accuracy REAL, lr REAL,
    seconds REAL, examples_per_second REAL, memory_mb REAL, zero_groups INTEGER
);
CREATE TABLE scores (step INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE norms (step INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE evaluations (
    step INTEGER, network TEXT, epoch INTEGER, loss REAL, accuracy REAL, num_examples INTEGER,
    PRIMARY KEY (step, network)
) WITHOUT ROWID;
CREATE TABLE events (id INTEGER PRIMARY KEY, step INTEGER, kind TEXT, text TEXT, structure INTEGER);
PRAGMA user_version = {VERSION};
"""
ADDED = "CREATE TABLE IF NOT EXISTS cosines (step INTEGER PRIMARY KEY, vector BLOB NOT NULL)"
"""What runs of earlier versions lack; who only reads does without it."""


def open_writer(folder: Path) -> sqlite3.Connection:
    """A connection that writes; the schema is there when it returns.

    Raises:
        DataError: The file is not a run store, or one of a later version.
        StorageError: The disk is full, or this user may not write there.
    """
    with _in_words(folder):
        connection = sqlite3.connect(folder / DATABASE, timeout=5.0, isolation_level=None)
    try:
        with _in_words(folder):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            if _version(connection, folder) == 0:
                connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
            connection.execute(ADDED)
    except NasvizError:
        connection.close()
        raise
    return connection


def open_reader(folder: Path) -> closing[sqlite3.Connection] | None:
    """A connection that can only read, to be used in a `with`; None while nothing has been recorded.

    Raises:
        RunNotFoundError: The run's folder is gone.
        DataError: The file is not a run store, or one of a later version.
        StorageError: This user may not read it.
    """
    require_folder(folder)
    path = folder / DATABASE
    if not path.exists():
        return None
    with _in_words(folder):
        connection = sqlite3.connect(_address(path), uri=True, timeout=2.0)
    try:
        with _in_words(folder):
            is_ready = _version(connection, folder) > 0
    except NasvizError:
        connection.close()
        raise
    if not is_ready:
        connection.close()
        return None
    return closing(connection)


def stamp(folder: Path) -> tuple[int, ...] | None:
    """Changes with every commit, at the price of a look at two files; None while that cannot be told.

    Files bear the time of their last change to some milliseconds, so what was written just now may be
    written once more under the same stamp.
    """
    found: list[int] = []
    for path in (folder / DATABASE, folder / f"{DATABASE}-wal"):
        with suppress(FileNotFoundError):
            state = path.stat()
            found += [state.st_mtime_ns, state.st_size]
    is_old = bool(found) and time.time_ns() - max(found[::2]) > YOUNG_NS
    return tuple(found) if is_old else None


def _address(path: Path) -> str:
    """The file, to be read only. Where this user may write no files beside it, it has to stand still.

    Raises:
        StorageError: It does not: rows lie in the log beside it, and reading that takes a file of its own.
    """
    address = f"file:{quote(str(path.resolve()))}?mode=ro"
    log = path.with_name(path.name + "-wal")
    if os.access(path.parent, os.W_OK) or path.with_name(path.name + "-shm").exists():
        return address
    if log.exists() and log.stat().st_size:
        raise StorageError(
            f"{path.parent} may not be written by this user, and the last rows of its run lie in {log.name}:"
            " copy the folder to a place of your own, and open it there"
        )
    return f"{address}&immutable=1"


def _version(connection: sqlite3.Connection, folder: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise DataError(
            f"{folder / DATABASE} has version {version}, and this nasviz reads up to {VERSION}: update nasviz"
        )
    return version


@contextmanager
def _in_words(folder: Path) -> Iterator[None]:
    """Raise what SQLite says as an error of ours; where the folder is gone, that is the error."""
    try:
        yield
    except sqlite3.OperationalError as error:
        require_folder(folder)
        raise storage_error(folder / DATABASE, error) from error
    except sqlite3.DatabaseError as error:
        require_folder(folder)
        raise DataError(
            f"{folder / DATABASE} cannot be opened as a run store ({error}); "
            f"restore it from a copy, or start a new run with the same settings"
        ) from error
