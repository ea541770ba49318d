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

from nasviz import guarded_files
from nasviz.errors import DataError, NasvizError, StorageError
from nasviz.runs.files import DATABASE, is_file, require_folder
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
TABLES = frozenset({"facts", "steps", "scores", "norms", "cosines", "evaluations", "events"})
BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite opens next to the file, by its name."""
LONGEST_VALUE = 64 * 2**20
"""Bytes of one value that are read."""
FEWEST_INSTRUCTIONS = 5_000_000
INSTRUCTIONS_PER_BYTE = 4
"""A whole read takes about 0.3 instructions of SQLite's machine for each byte of the file."""
LOOK_EVERY = 10_000
"""Instructions between two looks at how many there were."""


def open_writer(folder: Path) -> sqlite3.Connection:
    """A connection that writes; the schema is there when it returns.

    Raises:
        DataError: The file is not a run store, or one of a later version.
        UnsafeFileError: It is a link, or no regular file.
        StorageError: The disk is full, or this user may not write there.
    """
    with _in_words(folder):
        _require_regular_files(folder)
        guarded_files.append_to(folder / DATABASE).close()  # made for this user alone; SQLite keeps the mode
        connection = sqlite3.connect(folder / DATABASE, timeout=5.0, isolation_level=None)
    try:
        with _in_words(folder):
            connection.execute("PRAGMA trusted_schema = OFF")
            _require_own_tables(connection, folder)
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
        UnsafeFileError: It is a link, or no regular file.
        StorageError: This user may not read it.
    """
    require_folder(folder)
    path = folder / DATABASE
    if not is_file(path):
        return None
    with _in_words(folder):
        _require_regular_files(folder)
        connection = sqlite3.connect(_address(path), uri=True, timeout=2.0)
    try:
        with _in_words(folder):
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
            connection.set_progress_handler(_Budget(path), LOOK_EVERY)
            connection.execute("PRAGMA trusted_schema = OFF")
            is_ready = _version(connection, folder) > 0
            _require_own_tables(connection, folder)
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


class _Budget:
    """Ends a read that takes more work than the size of its file explains.

    Tables are read once, so work follows from size. A file may still be made so that its pages lead round in
    circles.
    """

    def __init__(self, path: Path) -> None:
        sizes = [p.stat().st_size for p in (path, path.with_name(f"{path.name}-wal")) if p.exists()]
        self.left = FEWEST_INSTRUCTIONS + INSTRUCTIONS_PER_BYTE * sum(sizes)

    def __call__(self) -> bool:
        self.left -= LOOK_EVERY
        return self.left < 0


def _require_regular_files(folder: Path) -> None:
    """Check that SQLite will open no link, pipe or device in `folder`."""
    for ending in ("", *BESIDE):
        is_file(folder / f"{DATABASE}{ending}")


def _require_own_tables(connection: sqlite3.Connection, folder: Path) -> None:
    """Check that the file holds plain tables of ours: a view or a trigger could run without end."""
    rows = connection.execute("SELECT type, name, tbl_name, rootpage FROM sqlite_master LIMIT 100")
    for kind, name, table, page in rows.fetchall():
        is_own_index = kind == "index" and table in TABLES
        is_own_table = kind == "table" and name in TABLES and page != 0  # a virtual table has no page
        if not (is_own_index or is_own_table or (kind == "table" and str(name).startswith("sqlite_"))):
            raise DataError(
                f"{folder / DATABASE} holds a {str(kind)[:20]} {str(name)[:60]!r}, which no run store"
                " has; restore it from a copy, or delete the run"
            )


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
    except OSError as error:
        require_folder(folder)
        raise storage_error(folder / DATABASE, error) from error
    except sqlite3.OperationalError as error:
        require_folder(folder)
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            raise DataError(
                f"{folder / DATABASE} takes more work to read than its size explains; restore it from a copy,"
                " or delete the run"
            ) from error
        raise storage_error(folder / DATABASE, error) from error
    except sqlite3.DatabaseError as error:
        require_folder(folder)
        raise DataError(
            f"{folder / DATABASE} cannot be opened as a run store ({error}); "
            f"restore it from a copy, or start a new run with the same settings"
        ) from error
