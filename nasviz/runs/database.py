"""The SQLite database of a run: one writer, any number of readers that never block it.

Write-ahead logging lets readers see the last commit while the writer continues; `synchronous=NORMAL` leaves
flushing the latest commits to the operating system, which survives a killed process. Vectors are
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
TIMESTAMP_RESOLUTION_NS = 20_000_000
"""Upper bound for the granularity of modification times, which is that of the kernel's clock tick."""
VECTOR_TABLES = ("scores", "norms", "cosines")

SCHEMA = f"""
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE steps (
    step INTEGER PRIMARY KEY, epoch INTEGER, phase TEXT, loss REAL, accuracy REAL, lr REAL,
    seconds REAL, examples_per_second REAL, memory_mb REAL, zero_groups INTEGER, penalty REAL
);
CREATE TABLE scores (step INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE norms (step INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE evaluations (
    step INTEGER, network TEXT, epoch INTEGER, loss REAL, accuracy REAL, num_examples INTEGER,
    metrics TEXT, PRIMARY KEY (step, network)
) WITHOUT ROWID;
CREATE TABLE events (id INTEGER PRIMARY KEY, step INTEGER, kind TEXT, text TEXT, structure INTEGER);
PRAGMA user_version = {VERSION};
"""
ADDED = "CREATE TABLE IF NOT EXISTS cosines (step INTEGER PRIMARY KEY, vector BLOB NOT NULL)"
"""Table missing from runs of earlier versions; readers work without it."""
ADDED_COLUMNS = {"steps": "penalty REAL", "evaluations": "metrics TEXT"}
"""Likewise: the last column of a table."""
TABLES = frozenset({"facts", "steps", "scores", "norms", "cosines", "evaluations", "events"})
SIDECAR_SUFFIXES = ("-wal", "-shm", "-journal")
"""Suffixes of the files that SQLite opens next to the database."""
MAX_VALUE_BYTES = 64 * 2**20
"""Largest value that is read."""
MIN_INSTRUCTIONS = 5_000_000
INSTRUCTIONS_PER_BYTE = 4
"""Budget of a reader; a complete read takes about 0.3 virtual machine instructions per byte of the file."""
CHECK_INTERVAL = 10_000
"""Virtual machine instructions between two checks of the budget."""


def open_writer(folder: Path) -> sqlite3.Connection:
    """Return a read-write connection, after creating the schema if needed.

    Raises:
        DataError: The file is not a run database, or is of a later version.
        UnsafeFileError: The file is a link or not a regular file.
        StorageError: The disk is full, or the user lacks write permission.
    """
    with _translate_errors(folder):
        _require_regular_files(folder)
        guarded_files.append_to(folder / DATABASE).close()  # creates it with mode 0600, which SQLite keeps
        connection = sqlite3.connect(folder / DATABASE, timeout=5.0, isolation_level=None)
    try:
        with _translate_errors(folder):
            connection.execute("PRAGMA trusted_schema = OFF")
            _require_own_tables(connection, folder)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            if _version(connection, folder) == 0:
                connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
            connection.execute(ADDED)
            for table, column in ADDED_COLUMNS.items():
                if column.split()[0] not in columns_of(connection, table):
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    except NasvizError:
        connection.close()
        raise
    return connection


def open_reader(folder: Path) -> closing[sqlite3.Connection] | None:
    """Return a read-only connection, to be used in a `with` statement, or None if nothing has been recorded.

    Raises:
        RunNotFoundError: The folder of the run does not exist.
        DataError: The file is not a run database, or is of a later version.
        UnsafeFileError: The file is a link or not a regular file.
        StorageError: The user lacks read permission.
    """
    require_folder(folder)
    path = folder / DATABASE
    if not is_file(path):
        return None
    with _translate_errors(folder):
        _require_regular_files(folder)
        connection = sqlite3.connect(_read_only_uri(path), uri=True, timeout=2.0)
    try:
        with _translate_errors(folder):
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
            connection.set_progress_handler(_Budget(path), CHECK_INTERVAL)
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


def columns_of(connection: sqlite3.Connection, table: str) -> set[str]:
    """Return the names of the columns of a table."""
    return {str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")}


def stamp(folder: Path) -> tuple[int, ...] | None:
    """Return a value that changes with every commit, read from the status of two files; None if not reliable.

    Modification times have a resolution of some milliseconds, so a file written just now may be written again
    without changing its stamp.
    """
    found: list[int] = []
    for path in (folder / DATABASE, folder / f"{DATABASE}-wal"):
        with suppress(FileNotFoundError):
            state = path.stat()
            found += [state.st_mtime_ns, state.st_size]
    is_old = bool(found) and time.time_ns() - max(found[::2]) > TIMESTAMP_RESOLUTION_NS
    return tuple(found) if is_old else None


class _Budget:
    """Progress handler that aborts a read which takes more work than the size of the file explains.

    Tables are read once, so work is proportional to size. A crafted file may contain cycles of pages.
    """

    def __init__(self, path: Path) -> None:
        sizes = [p.stat().st_size for p in (path, path.with_name(f"{path.name}-wal")) if p.exists()]
        self.left = MIN_INSTRUCTIONS + INSTRUCTIONS_PER_BYTE * sum(sizes)

    def __call__(self) -> bool:
        self.left -= CHECK_INTERVAL
        return self.left < 0


def _require_regular_files(folder: Path) -> None:
    """Check that SQLite opens no link, pipe or device in `folder`."""
    for ending in ("", *SIDECAR_SUFFIXES):
        is_file(folder / f"{DATABASE}{ending}")


def _require_own_tables(connection: sqlite3.Connection, folder: Path) -> None:
    """Check that the file holds only the known tables: a view or a trigger could run forever."""
    rows = connection.execute("SELECT type, name, tbl_name, rootpage FROM sqlite_master LIMIT 100")
    for kind, name, table, page in rows.fetchall():
        is_own_index = kind == "index" and table in TABLES
        is_own_table = kind == "table" and name in TABLES and page != 0  # a virtual table has no page
        if not (is_own_index or is_own_table or (kind == "table" and str(name).startswith("sqlite_"))):
            raise DataError(
                f"{folder / DATABASE} holds a {str(kind)[:20]} {str(name)[:60]!r}, which is not part"
                " of a run database; restore it from a backup, or delete the run"
            )


def _read_only_uri(path: Path) -> str:
    """Return the URI that opens the database read-only.

    In a read-only folder SQLite cannot create the `-shm` file of the write-ahead log, so the database is
    opened as immutable, which ignores the log.

    Raises:
        StorageError: The log holds rows that would be ignored.
    """
    uri = f"file:{quote(str(path.resolve()))}?mode=ro"
    log = path.with_name(path.name + "-wal")
    if os.access(path.parent, os.W_OK) or path.with_name(path.name + "-shm").exists():
        return uri
    if log.exists() and log.stat().st_size:
        raise StorageError(
            f"{path.parent} is read-only for this user, and the last rows of the run are still in {log.name}:"
            " copy the folder to a writable location and open it there"
        )
    return f"{uri}&immutable=1"


def _version(connection: sqlite3.Connection, folder: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise DataError(
            f"{folder / DATABASE} has version {version}, but nasviz reads up to {VERSION}: update nasviz"
        )
    return version


@contextmanager
def _translate_errors(folder: Path) -> Iterator[None]:
    """Convert errors of SQLite to errors of nasviz; a folder that is gone takes precedence."""
    try:
        yield
    except OSError as error:
        require_folder(folder)
        raise storage_error(folder / DATABASE, error) from error
    except sqlite3.OperationalError as error:
        require_folder(folder)
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            raise DataError(
                f"{folder / DATABASE} is damaged: reading it takes more work than its size explains; restore"
                " it from a backup, or delete the run"
            ) from error
        raise storage_error(folder / DATABASE, error) from error
    except sqlite3.DatabaseError as error:
        require_folder(folder)
        raise DataError(
            f"{folder / DATABASE} cannot be opened as a run database ({error}); "
            f"restore it from a backup, or start a new run with the same settings"
        ) from error
