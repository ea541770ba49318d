"""The lock of a run: held by its worker as long as that lives, released by the kernel however it dies.

That of a sweep is held by its scheduler in the same way.

A process id alone proves nothing: a killed worker stays a zombie under a live parent, and ids come round
again.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from nasviz import guarded_files
from nasviz.errors import DataError, RunBusyError, RunNotFoundError
from nasviz.runs.files import LOCK, PID, is_file, read_table, require_folder, write_json
from nasviz.runs.storage import storage_error

__all__ = ["acquire", "is_held", "is_worker_alive", "write_pid"]

START_PATIENCE_S = 1.0
"""How long a start waits for the lock: longer than any look at it lasts."""


def acquire(folder: Path, kind: str = "run", holder: str = "worker") -> FileLock:
    """Take the lock of the run, or the sweep, in `folder`; the caller releases it.

    Raises:
        RunBusyError: Another process, or another part of this one, holds it.
        RunNotFoundError: The folder is gone.
        StorageError: The disk is full, or this user may not write there.
    """
    require_folder(folder, kind)
    is_file(folder / LOCK)
    lock = FileLock(folder / LOCK, mode=guarded_files.PRIVATE_FILE, thread_local=False)
    try:
        lock.acquire(timeout=START_PATIENCE_S, poll_interval=0.02)
    except Timeout:
        raise RunBusyError(
            f"{kind} {folder.name} already has a {holder} ({_describe_worker(folder)}); "
            f"wait for it to end, or cancel it first"
        ) from None
    except FileNotFoundError as error:
        raise RunNotFoundError(f"the folder of {kind} {folder.name} is gone") from error
    except OSError as error:
        raise storage_error(folder / LOCK, error) from error
    return lock


def is_held(folder: Path) -> bool:
    """Whether a worker holds the lock of the run in `folder`.

    Any number of processes look at once, also those that may read the folder only: looks share the lock among
    them for some microseconds, and only who works on the run has it for itself.

    Raises:
        StorageError: This user may not read the lock.
    """
    path = folder / LOCK
    try:
        with guarded_files.open_regular(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_UN)  # closing is not enough where a child was forked meanwhile
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError as error:
        raise storage_error(path, error) from error
    return False


def write_pid(folder: Path) -> None:
    """Put this process on record as the run's worker."""
    process = psutil.Process()
    document = {"pid": process.pid, "create_time": process.create_time(), "started": time.time()}
    write_json(folder / PID, document)


def is_worker_alive(folder: Path) -> bool:
    """Whether the process on record still runs: same id, same creation time, no zombie."""
    record = _read_pid(folder)
    if record is None:
        return False
    pid, create_time = record
    try:
        process = psutil.Process(pid)
        is_same = abs(process.create_time() - create_time) < 2.0
        return bool(is_same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _describe_worker(folder: Path) -> str:
    record = _read_pid(folder)
    if record is None:
        return "it is just starting"
    return "this process" if record[0] == os.getpid() else f"process {record[0]}"


def _read_pid(folder: Path) -> tuple[int, float] | None:
    """Process id and creation time on record; None where there are none."""
    record = read_table(folder / PID)
    if record is None:
        return None
    pid, create_time = record.get("pid"), record.get("create_time")
    if not isinstance(pid, int) or not 0 < pid < 2**31 or not isinstance(create_time, int | float):
        raise DataError(f"{folder / PID} names no process; delete it")
    return pid, float(create_time)
