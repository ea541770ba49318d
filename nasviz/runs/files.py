"""Files of a run folder, and JSON documents that are never seen half written.

A document is written to a temporary file, forced to disk, moved over the old one, and the folder is forced to
disk: a reader, or a machine that comes back after a power cut, finds the old text or the new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import psutil

from nasviz.errors import DataError, RunNotFoundError
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
    "place",
    "read_json",
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


def require_folder(folder: Path, kind: str = "run") -> None:
    """Check that a run, or a sweep, still lives in `folder`.

    Raises:
        RunNotFoundError: It does not, or no longer.
        StorageError: This user may not look into it.
    """
    try:
        is_there = (folder / CONFIG).is_file()
    except OSError as error:
        raise storage_error(folder, error) from error
    if not is_there:
        raise RunNotFoundError(
            f"no {kind} in {folder}: {CONFIG} is missing; the folder was deleted or never held a {kind}"
        )


def sync_folder(folder: Path) -> None:
    """Force the names in `folder` to disk, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stage(path: Path, content: bytes) -> Path:
    """Write `content` beside `path` and force it to disk; return where it is, for `place` to move.

    Raises:
        RunNotFoundError: The folder is gone.
        StorageError: The disk is full, or this user may not write there; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileNotFoundError as error:
        raise RunNotFoundError(f"cannot write {path.name}: the folder {path.parent} is gone") from error
    except OSError as error:
        unstage(temporary)
        raise storage_error(path, error) from error
    return temporary


def place(temporary: Path, path: Path) -> None:
    """Move what was staged to `path`, and force the name to disk.

    Raises:
        RunNotFoundError: The folder is gone.
        StorageError: This user may not write there.
    """
    try:
        temporary.replace(path)
        sync_folder(path.parent)
    except FileNotFoundError as error:
        raise RunNotFoundError(f"cannot write {path.name}: the folder {path.parent} is gone") from error
    except OSError as error:
        unstage(temporary)
        raise storage_error(path, error) from error


def unstage(temporary: Path) -> None:
    """Give up what was staged: a full disk needs the room."""
    with contextlib.suppress(OSError):  # a disk that takes nothing may not give up anything either
        temporary.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the file at `path` by `content`, whole or not at all.

    Raises:
        RunNotFoundError: Its folder is gone.
        StorageError: The disk is full, or this user may not write there; the old content is still there.
    """
    place(stage(path, content), path)


def sweep(folder: Path) -> None:
    """Remove what processes that were killed while they wrote have left in `folder`.

    What a living process is writing stays: its id is part of the name.
    """
    for path in folder.glob(".*.tmp"):
        pid = path.name.split(".")[-2]
        if not pid.isdecimal() or int(pid) == os.getpid() or not psutil.pid_exists(int(pid)):
            unstage(path)
    for path in folder.glob("*/.saving-*"):
        shutil.rmtree(path, ignore_errors=True)


def write_json(path: Path, document: Any) -> None:
    """Replace the document at `path`, whole or not at all."""
    write_bytes(path, json.dumps(document, indent=1, allow_nan=False).encode() + b"\n")


def read_json(path: Path) -> Any:
    """The document at `path`; None where there is none.

    Raises:
        DataError: The file is not JSON.
        StorageError: This user may not read it.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(path, error) from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not a JSON document ({error}); restore it from a copy, or delete it"
        ) from error
