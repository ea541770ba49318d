"""The SQLite file of a run: one writer, any number of readers that never hold it up.

Write-ahead logging lets readers see the last commit while the writer goes on; `synchronous=NORMAL` leaves
the commits of the last moments to the operating system, which outlives a killed process. Vectors are
little-endian float32 BLOBs.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from nasviz.errors import DataError
from nasviz.runs.files import DATABASE, require_folder

__all__ = ["VECTOR_TABLES", "open_reader", "open_writer"]

VERSION = 1
VECTOR_TABLES = ("scores", "norms")

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


def open_writer(folder: Path) -> sqlite3.Connection:
    """A connection that writes; the schema is there when it returns.

    Raises:
        DataError: The file is not a run store, or one of a later version.
    """
    connection = sqlite3.connect(folder / DATABASE, timeout=5.0, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if _version(connection, folder) == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise _damaged(folder, error) from error
    except DataError:
        connection.close()
        raise
    return connection


def open_reader(folder: Path) -> closing[sqlite3.Connection] | None:
    """A connection that can only read, to be used in a `with`; None while nothing has been recorded.

    Raises:
        RunNotFoundError: The run's folder is gone.
        DataError: The file is not a run store, or one of a later version.
    """
    require_folder(folder)
    path = folder / DATABASE
    if not path.exists():
        return None
    try:
        connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, timeout=2.0)
    except sqlite3.OperationalError as error:
        require_folder(folder)
        raise _damaged(folder, error) from error
    try:
        is_ready = _version(connection, folder) > 0
    except sqlite3.DatabaseError as error:
        connection.close()
        require_folder(folder)
        raise _damaged(folder, error) from error
    except DataError:
        connection.close()
        raise
    if not is_ready:
        connection.close()
        return None
    return closing(connection)


def _version(connection: sqlite3.Connection, folder: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise DataError(
            f"{folder / DATABASE} has version {version}, and this nasviz reads up to {VERSION}: update nasviz"
        )
    return version


def _damaged(folder: Path, error: sqlite3.Error) -> DataError:
    return DataError(
        f"{folder / DATABASE} cannot be opened as a run store ({error}); "
        f"restore it from a copy, or start a new run with the same settings"
    )
