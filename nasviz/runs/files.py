"""Files of a run folder, and JSON documents that are never seen half written.

A document is written to a temporary file, forced to disk, moved over the old one, and the folder is forced to
disk: a reader, or a machine that comes back after a power cut, finds the old text or the new one.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import psutil

from nasviz import guarded_files
from nasviz.errors import DataError, RunNotFoundError
from nasviz.guarded_files import sync_folder, unstage
from nasviz.runs.storage import storage_error

__all__ = [
    "CHECKPOINT",
    "CONFIG",
    "DATABASE",
    "END",
    "ENVIRONMENT",
    "LOCK",
    "LOG",
    "PAUSED",
    "PID",
    "PREVIOUS_CHECKPOINT",
    "REQUEST",
    "SEARCHED",
    "SPACE",
    "START",
    "START_SUM",
    "SUBNET",
    "SUMS",
    "TRASH",
    "has_config",
    "is_file",
    "make_folder",
    "place",
    "read_bytes",
    "read_json",
    "read_table",
    "require_folder",
    "stage",
    "sweep",
    "sync_folder",
    "unstage",
    "write_bytes",
    "write_json",
]

CONFIG = "config.json"
"""Settings, id and time of creation; a folder without it is neither run nor sweep."""
ENVIRONMENT = "environment.json"
"""One entry per start: versions, device, host, threads."""
SEARCHED = "searched.json"
"""The search space that the scores are of, where the end of the search has put another one into its place."""
SPACE = "space.json"
"""Search space of the network, as the graph room writes it."""
DATABASE = "run.db"
CHECKPOINT = "checkpoint.pt"
PREVIOUS_CHECKPOINT = "checkpoint.previous.pt"
SUMS = "checkpoint.json"
"""SHA-256 sums of the checkpoints, the last one first."""
START_SUM = "start.json"
"""SHA-256 of what a continued run begins with."""
TRASH = ".trash"
"""Holds deleted runs, beside the others."""
START = "start.pt"
"""Last checkpoint of the run that this one continues."""
PID = "pid.json"
"""Process id and creation time of the latest worker; a folder without it never had one."""
LOCK = "run.lock"
"""Held by the worker as long as it lives."""
REQUEST = "request.json"
"""What a person asked the worker to do."""
PAUSED = "paused.json"
"""There while a worker waits."""
END = "end.json"
"""How the run ended, and its result."""
LOG = "out.log"
SUBNET = "subnet"

LARGEST_DOCUMENT = 4 * 2**20
"""Bytes of a JSON document that are read."""
LARGEST = {CONFIG: 16 * 2**20, END: 16 * 2**20, SPACE: 64 * 2**20, SEARCHED: 64 * 2**20}
"""The same of those that grow with the network or with the grid of a sweep."""


def require_folder(folder: Path, kind: str = "run") -> None:
    """Check that a run, or a sweep, still lives in `folder`.

    Raises:
        RunNotFoundError: It does not, or no longer.
        UnsafeFileError: Its configuration is a link or no file, or the folder is a link.
        StorageError: This user may not look into it.
    """
    try:
        guarded_files.require_regular(folder / CONFIG)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunNotFoundError(
            f"no {kind} in {folder}: {CONFIG} is missing; the folder was deleted or never held a {kind}"
        ) from error
    except OSError as error:
        raise storage_error(folder, error) from error


def has_config(folder: Path) -> bool:
    """Return whether `folder` is a real folder of a run or a sweep, be it damaged."""
    try:
        if folder.is_symlink():
            return False
        (folder / CONFIG).lstat()
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise storage_error(folder, error) from error


def is_file(path: Path) -> bool:
    """Return whether a regular file lies at `path`; False where there is nothing.

    Raises:
        UnsafeFileError: Something else has this name, such as a link.
        StorageError: This user may not look.
    """
    try:
        guarded_files.require_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise storage_error(path, error) from error
    return True


def make_folder(folder: Path) -> None:
    """Make a folder of a runs folder, for this user alone, where it does not exist yet.

    Raises:
        UnsafeFileError: Something else has its name, such as a link to a folder.
        StorageError: The disk is full, or this user may not write there.
    """
    try:
        guarded_files.make_private_folder(folder)
    except OSError as error:
        raise storage_error(folder, error) from error


def stage(path: Path, content: bytes) -> Path:
    """Write `content` next to `path` and force it to disk; return where it is, for `place` to move.

    Raises:
        RunNotFoundError: The folder is gone.
        UnsafeFileError: The folder is a link.
        StorageError: The disk is full, or this user may not write there; nothing is left behind.
    """
    try:
        return guarded_files.stage(path, content)
    except FileNotFoundError as error:
        raise RunNotFoundError(f"cannot write {path.name}: the folder {path.parent} is gone") from error
    except OSError as error:
        raise storage_error(path, error) from error


def place(temporary: Path, path: Path) -> None:
    """Move what was staged to `path`, and force the name to disk.

    Raises:
        RunNotFoundError: The folder is gone.
        StorageError: This user may not write there.
    """
    try:
        guarded_files.place(temporary, path)
    except FileNotFoundError as error:
        raise RunNotFoundError(f"cannot write {path.name}: the folder {path.parent} is gone") from error
    except OSError as error:
        raise storage_error(path, error) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the file at `path` by `content`, whole or not at all.

    Raises:
        RunNotFoundError: Its folder is gone.
        StorageError: The disk is full, or this user may not write there; the old content is still there.
    """
    place(stage(path, content), path)


def sweep(folder: Path) -> None:
    """Remove what processes that were killed while they wrote have left in `folder`.

    What a living process is writing stays: its id is part of the name, or it holds a lock.
    """
    for path in folder.glob(".*.tmp"):
        pid = path.name.split(".")[-2]
        if not pid.isdecimal() or int(pid) == os.getpid() or not psutil.pid_exists(int(pid)):
            unstage(path)
    for path in folder.glob("*/.saving-*"):
        if not path.parent.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def write_json(path: Path, document: Any) -> None:
    """Replace the document at `path`, whole or not at all."""
    write_bytes(path, json.dumps(document, indent=1, allow_nan=False).encode() + b"\n")


def read_bytes(path: Path, limit: int | None = None) -> bytes | None:
    """Return the content of the file at `path`; None where there is none.

    Args:
        path: Of the file.
        limit: Largest size in bytes; None for any.

    Raises:
        UnsafeFileError: It is a link, a pipe, a device, a folder, or larger than `limit`.
        StorageError: This user may not read it.
    """
    try:
        return guarded_files.read_regular(path, limit)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise storage_error(path, error) from error


def read_json(path: Path) -> Any:
    """Return the document at `path`; None where there is none.

    Raises:
        DataError: The file is not JSON, or no regular file of a sensible size.
        StorageError: This user may not read it.
    """
    content = read_bytes(path, LARGEST.get(path.name, LARGEST_DOCUMENT))
    if content is None:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not a JSON document ({error}); restore it from a copy, or delete it"
        ) from error


def read_table(path: Path) -> dict[str, Any] | None:
    """Return the document at `path`, an object with names; None where there is none.

    Raises:
        DataError: The file holds something else.
        StorageError: This user may not read it.
    """
    document = read_json(path)
    if document is not None and not isinstance(document, dict):
        raise DataError(
            f"{path} holds {type(document).__name__} {str(document)[:40]!r}, where an object with names is"
            " expected; restore it from a copy, or delete it"
        )
    return document
