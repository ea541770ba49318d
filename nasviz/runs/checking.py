"""Whether a finished run is as it was when it ended: the sums of its files and of its record."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path

from nasviz import checksums
from nasviz.errors import DamagedFileError
from nasviz.guarded_files import exists, require_real_folder
from nasviz.runs.damage import as_damage
from nasviz.runs.database import TABLES, open_reader
from nasviz.runs.ending import read_end
from nasviz.runs.files import CONFIG, DATABASE, ENVIRONMENT, SEARCHED, SPACE, SUBNET, SUMS

__all__ = ["BEST", "DOCUMENTS", "UNCHECKED", "check_run", "sums_of_run"]

BEST = "best.pt"
"""Weights of the best evaluation since everything selected is zero; the last ones are in the checkpoint."""
DOCUMENTS = (CONFIG, ENVIRONMENT, SPACE, SEARCHED, SUMS, DATABASE)
"""What lists and descriptions of a run rest on."""
UNCHECKED = "its files are unchecked: it was made by a version that kept no checksums"


def sums_of_run(folder: Path, connection: sqlite3.Connection) -> dict[str, str]:
    """Return the sums of all that the result of a run rests on; of its record, that of the rows.

    The file of the record changes as SQLite tidies it up, its rows do not.

    Args:
        folder: Of the run.
        connection: To its record.
    """
    sums = {name: checksums.sum_of_file(folder / name) for name in _files(folder)}
    return sums | {DATABASE: _sum_of_rows(connection)}


def check_run(folder: Path, names: Collection[str] | None = None) -> bool:
    """Check a finished run against the sums in its `end.json`.

    Args:
        folder: Of the run.
        names: Files to check; None for all.

    Returns:
        Whether there were sums: runs of earlier versions, and those that have not ended, have none.

    Raises:
        DamagedFileError: A file is gone, or not as it was; the message names it.
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
                raise DamagedFileError(f"{folder / DATABASE} is missing or empty; restore it from a copy")
            with reader as connection:
                if _sum_of_rows(connection) != rows:
                    raise DamagedFileError(
                        f"{folder / DATABASE} is damaged: its rows do not have the SHA-256 on record; restore"
                        " it from a copy"
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
