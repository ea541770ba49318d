"""Files of a run folder, and JSON documents that are replaced atomically.

A document is written to a temporary file, synced to disk, renamed over the old one, and the folder is synced:
a reader, or a machine after a power cut, finds the old document or the new one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from nasviz import guarded_files
from nasviz.errors import DataError, RunNotFoundError
from nasviz.guarded_files import sync_folder, unstage
from nasviz.runs.storage import storage_error, translate_errors

__all__ = [
    "CHANGE",
    "CHANGE_SUM",
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
    "TARGET",
    "TRASH",
    "has_config",
    "is_file",
    "last_line",
    "make_folder",
    "place",
    "read_bytes",
    "read_json",
    "read_table",
    "remove_leftovers",
    "require_folder",
    "stage",
    "sync_folder",
    "unstage",
    "write_bytes",
    "write_json",
]

CONFIG = "config.json"
"""Settings, id and creation time; a folder without it is neither a run nor a sweep."""
ENVIRONMENT = "environment.json"
"""One entry per start: versions, device, host, threads."""
SEARCHED = "searched.json"
"""Search space that the recorded scores refer to, if the end of the search has replaced it."""
SPACE = "space.json"
"""Search space of the network."""
DATABASE = "run.db"
CHANGE = "change.pt"
"""Checkpoint of the step at which the sub-network has taken the place of the full network."""
CHANGE_SUM = "change.json"
"""Its SHA-256."""
CHECKPOINT = "checkpoint.pt"
PREVIOUS_CHECKPOINT = "checkpoint.previous.pt"
SUMS = "checkpoint.json"
"""SHA-256 of the checkpoints, latest first."""
START_SUM = "start.json"
"""SHA-256 of the checkpoint that a continued run starts from."""
TRASH = ".trash"
"""Folder of deleted runs, inside the runs folder."""
START = "start.pt"
"""Last checkpoint of the run that is continued."""
PID = "pid.json"
"""Process id and creation time of the latest worker; missing if there never was one."""
LOCK = "run.lock"
"""Lock that the worker holds as long as it lives."""
REQUEST = "request.json"
TARGET = "target.json"
"""Another K that a watched loop is asked for; a request of its own, which replaces no cancel or pause."""
"""Pending request to the worker."""
PAUSED = "paused.json"
"""Present while the worker is paused."""
END = "end.json"
"""End state and result of the run."""
LOG = "out.log"
SUBNET = "subnet"

LARGEST_DOCUMENT = 4 * 2**20
"""Largest JSON document that is read, in bytes."""
LARGEST = {CONFIG: 16 * 2**20, END: 16 * 2**20, SPACE: 64 * 2**20, SEARCHED: 64 * 2**20}
"""Larger limits, for documents that grow with the network or with the grid of a sweep."""


def require_folder(folder: Path, kind: str = "run") -> None:
    """Check that `folder` holds a run or a sweep.

    Raises:
        RunNotFoundError: It does not.
        UnsafeFileError: The folder or its configuration is a link, or the latter is not a regular file.
        StorageError: The user lacks permission.
    """
    try:
        guarded_files.require_regular(folder / CONFIG)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunNotFoundError(
            f"no {kind} in {folder}: {CONFIG} is missing; the folder was deleted or never contained a {kind}"
        ) from error
    except OSError as error:
        raise storage_error(folder, error) from error


def has_config(folder: Path) -> bool:
    """Return whether `folder` is the folder of a run or a sweep (possibly damaged), and not a link."""
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
    """Return whether `path` is a regular file.

    Raises:
        UnsafeFileError: `path` is something else, such as a link.
        StorageError: The user lacks permission.
    """
    try:
        guarded_files.require_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise storage_error(path, error) from error
    return True


def make_folder(folder: Path) -> None:
    """Create `folder`, accessible to this user only, if it does not exist.

    Raises:
        UnsafeFileError: `folder` is something else, such as a link.
        StorageError: The disk is full, or the user lacks write permission.
    """
    try:
        guarded_files.make_private_folder(folder)
    except OSError as error:
        raise storage_error(folder, error) from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Convert errors of writing `path`; see `stage`."""
    try:
        with translate_errors(path):
            yield
    except FileNotFoundError as error:
        raise RunNotFoundError(f"cannot write {path.name}: the folder {path.parent} is gone") from error


def stage(path: Path, content: bytes) -> Path:
    """Write `content` to a temporary file next to `path`, sync it to disk and return its path, for `place`.

    Raises:
        RunNotFoundError: The folder does not exist.
        UnsafeFileError: The folder is a link.
        StorageError: The disk is full, or the user lacks write permission; no file is left behind.
    """
    with _writing(path):
        return guarded_files.stage(path, content)


def place(temporary: Path, path: Path) -> None:
    """Rename the staged file `temporary` to `path`, and sync the folder to disk.

    Raises:
        RunNotFoundError: The folder does not exist.
        StorageError: The user lacks write permission.
    """
    with _writing(path):
        guarded_files.place(temporary, path)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the file at `path` atomically.

    Raises:
        RunNotFoundError: Its folder does not exist.
        StorageError: The disk is full, or the user lacks write permission; the old file is unchanged.
    """
    place(stage(path, content), path)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files in `folder` of processes that were killed while writing.

    Files of live processes stay: the process id is part of the name, or the process holds a lock.
    """
    for path in folder.glob(".*.tmp"):
        pid = path.name.split(".")[-2]
        if not pid.isdecimal() or int(pid) == os.getpid() or not psutil.pid_exists(int(pid)):
            unstage(path)
    for path in folder.glob("*/.saving-*"):
        if not path.parent.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def write_json(path: Path, document: Any) -> None:
    """Replace the document at `path` atomically."""
    write_bytes(path, json.dumps(document, indent=1, allow_nan=False).encode() + b"\n")


def read_bytes(path: Path, limit: int | None = None) -> bytes | None:
    """Return the content of the file at `path`, or None if there is none.

    Args:
        path: Path of the file.
        limit: Largest accepted size in bytes; None for any.

    Raises:
        UnsafeFileError: `path` is a link, pipe, device or folder, or larger than `limit`.
        StorageError: The user lacks read permission.
    """
    try:
        return guarded_files.read_regular(path, limit)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise storage_error(path, error) from error


def read_json(path: Path) -> Any:
    """Return the document at `path`, or None if there is none.

    Raises:
        DataError: The file is not JSON, too large, or not a regular file.
        StorageError: The user lacks read permission.
    """
    content = read_bytes(path, LARGEST.get(path.name, LARGEST_DOCUMENT))
    if content is None:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not a JSON document ({error}); restore it from a backup, or delete it"
        ) from error


def read_table(path: Path) -> dict[str, Any] | None:
    """Return the JSON object at `path`, or None if there is none.

    Raises:
        DataError: The file holds something else.
        StorageError: The user lacks read permission.
    """
    document = read_json(path)
    if document is not None and not isinstance(document, dict):
        raise DataError(
            f"{path} holds {type(document).__name__} {str(document)[:40]!r} instead of a JSON object; restore"
            " it from a backup, or delete it"
        )
    return document


_MAX_BYTES = 4096
"""Number of bytes read from the end of a log, which may be long."""


def last_line(folder: Path) -> str:
    """Return the last line of the log in `folder`, or an empty string.

    Raises:
        UnsafeFileError: The log is a link or not a regular file.
        OSError: The user lacks read permission.
    """
    try:
        with guarded_files.open_regular(folder / LOG) as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _MAX_BYTES))
            lines = file.read(_MAX_BYTES).decode(errors="replace").strip().splitlines()
    except FileNotFoundError:
        return ""
    return lines[-1] if lines else ""
