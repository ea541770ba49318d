"""Integrity of finished runs: checksums of the files and of the rows of the database."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path

from nasviz import checksums
from nasviz.errors import DamagedFileError
from nasviz.guarded_files import exists, require_real_folder
from nasviz.runs.database import TABLES, open_reader
from nasviz.runs.ending import read_end
from nasviz.runs.files import CONFIG, DATABASE, ENVIRONMENT, SEARCHED, SPACE, SUBNET, SUMS
from nasviz.runs.storage import as_damage

__all__ = ["BEST", "DOCUMENTS", "UNCHECKED", "check_run", "sums_of_run"]

BEST = "best.pt"
"""Weights of the best evaluation after all selected structures became zero; see also CHECKPOINT."""
DOCUMENTS = (CONFIG, ENVIRONMENT, SPACE, SEARCHED, SUMS, DATABASE)
"""Files that lists and descriptions of a run are read from."""
UNCHECKED = "its files cannot be verified: it was created by a version without checksums"


def sums_of_run(folder: Path, connection: sqlite3.Connection) -> dict[str, str]:
    """Return the SHA-256 of every file that the result of a run depends on.

    The sum of the database covers its rows: SQLite may rewrite the file (checkpoint, vacuum) without changing
    them.

    Args:
        folder: Folder of the run.
        connection: Connection to its database.
    """
    sums = {name: checksums.sum_of_file(folder / name) for name in _files(folder)}
    return sums | {DATABASE: _sum_of_rows(connection)}


def check_run(folder: Path, names: Collection[str] | None = None) -> bool:
    """Check a finished run against the sums in its `end.json`.

    Args:
        folder: Folder of the run.
        names: Files to check; None for all.

    Returns:
        False if there are no sums: the run has not ended, or was made by an earlier version.

    Raises:
        DamagedFileError: A file is missing or was changed; the message names it.
        DataError: `end.json` is damaged.
    """
    end = read_end(folder)
    if end is None or end.files is None:
        return False
    wanted = {name: found for name, found in end.files.items() if names is None or name in names}
    if any(name.startswith(f"{SUBNET}/") for name in wanted) and exists(folder / SUBNET):
        require_real_folder(folder / SUBNET)
    rows = wanted.pop(DATABASE, None)
    checksums.check(folder, wanted)
    if rows is not None:
        with as_damage(folder / DATABASE):
            reader = open_reader(folder)
            if reader is None:
                raise DamagedFileError(f"{folder / DATABASE} is missing or empty; restore it from a backup")
            with reader as connection:
                if _sum_of_rows(connection) != rows:
                    raise DamagedFileError(
                        f"{folder / DATABASE} is damaged: its rows do not match the recorded SHA-256;"
                        " restore it from a backup"
                    )
    return True


def _files(folder: Path) -> Iterator[str]:
    yield from (name for name in (*DOCUMENTS, BEST) if name != DATABASE and exists(folder / name))
    subnet = folder / SUBNET
    if exists(subnet):
        require_real_folder(subnet)
        yield from (f"{SUBNET}/{path.name}" for path in sorted(subnet.iterdir()) if path.is_file())


def _sum_of_rows(connection: sqlite3.Connection) -> str:
    found = hashlib.sha256()
    for table in sorted(TABLES):
        order = {"facts": "name", "events": "id", "evaluations": "step, network"}.get(table, "step")
        rows = connection.execute(f"SELECT * FROM {table} ORDER BY {order}")
        found.update(f"{table} {[column[0] for column in rows.description]}\n".encode())
        for row in rows:
            found.update(repr(row).encode())
    return found.hexdigest()
