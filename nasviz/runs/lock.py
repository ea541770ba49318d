"""The lock of a run: held by its worker as long as that lives, released by the kernel however it dies.

The lock of a sweep is held by its scheduler in the same way.

A process id alone proves nothing: a killed worker stays a zombie under a live parent, and ids come round
again. A lock file alone is not enough either: `git clean` or `rsync --delete` removes it under a living
worker, and the next one would lock a new file of the same name. So two things are locked: the file, and the
folder itself, which cannot be replaced without the run.

A launcher takes the lock and hands it over to the process that it starts: the child inherits the open
descriptors. The run is never without a holder in between, so that a request made while the worker is still
starting is kept for it, and a second start is refused.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import psutil

from nasviz.errors import DataError, NasvizError, RunBusyError, RunNotFoundError
from nasviz.runs.files import LOCK, PID, is_file, read_table, require_folder, write_json
from nasviz.runs.storage import storage_error

__all__ = ["HANDED_OVER", "FolderLock", "acquire", "is_held", "write_pid"]

START_PATIENCE_S = 1.0
"""How long a start waits for the lock: longer than any look at it lasts."""
POLL_S = 0.02
HANDED_OVER = "NASVIZ_LOCK_DESCRIPTORS"
"""Environment variable in which a launcher names the descriptors of the lock that its child inherits."""
_UNSUPPORTED = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP)
"""What a file system answers that cannot lock folders, such as NFS; the file is the only lock there."""


class FolderLock:
    """A lock that this process holds, as a context manager that releases it.

    Args:
        descriptors: Open files that are locked.
        is_inherited: Whether the process that started this one took the lock and handed it over.
    """

    def __init__(self, descriptors: Sequence[int], *, is_inherited: bool = False) -> None:
        self.descriptors = tuple(descriptors)
        self.is_inherited = is_inherited

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def release(self) -> None:
        """Unlock for this process and for every child that was forked from it; a second call does nothing."""
        descriptors, self.descriptors = self.descriptors, ()
        for descriptor in descriptors:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough where a child was forked
            os.close(descriptor)

    def hand_over(self) -> None:
        """Close the descriptors without unlocking: a child that inherited them holds the lock from now on."""
        descriptors, self.descriptors = self.descriptors, ()
        for descriptor in descriptors:
            os.close(descriptor)


def acquire(folder: Path, kind: str = "run", holder: str = "worker") -> FolderLock:
    """Take the lock of the run, or the sweep, in `folder`; the caller releases it.

    A lock that was handed over to this process is adopted, once.

    Raises:
        RunBusyError: Another process, or another part of this one, holds it.
        RunNotFoundError: The folder is gone.
        StorageError: The disk is full, or this user may not write there.
        DataError: The lock is no regular file.
    """
    require_folder(folder, kind)
    is_file(folder / LOCK)  # a link, a pipe or a folder in its place is refused
    if (inherited := _adopt(folder)) is not None:
        return inherited
    deadline = time.monotonic() + START_PATIENCE_S
    while True:
        try:
            return FolderLock(_lock_both(folder))
        except BlockingIOError:
            if time.monotonic() >= deadline:
                break
        except FileNotFoundError as error:
            raise RunNotFoundError(f"the folder of {kind} {folder.name} is gone") from error
        except NasvizError:
            raise
        except OSError as error:
            raise storage_error(folder / LOCK, error) from error
        time.sleep(POLL_S)
    raise RunBusyError(
        f"{kind} {folder.name} already has a {holder} ({_describe_worker(folder)}); "
        f"wait for it to end, or cancel it first"
    )


def is_held(folder: Path) -> bool:
    """Return whether a worker holds the lock of the run in `folder`.

    Any number of processes look at once, also those that may read the folder only: looks share the lock among
    them for some microseconds, and only who works on the run has it for itself.

    Raises:
        StorageError: This user may not read the lock.
        DataError: The lock is no regular file.
    """
    try:
        with_folder = _is_locked(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        with_folder = False  # may be entered, but not read: the file tells
    if with_folder:
        return True
    path = folder / LOCK
    if not is_file(path):
        return False
    try:
        return _is_locked(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise storage_error(path, error) from error


def write_pid(folder: Path) -> None:
    """Put this process on record as the run's worker."""
    process = psutil.Process()
    document = {"pid": process.pid, "create_time": process.create_time(), "started": time.time()}
    write_json(folder / PID, document)


def _open(path: Path, flags: int) -> int:
    """Open a lock file or a folder; what is neither is refused before anything can wait for it."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.ELOOP, errno.ENXIO):
            raise
        raise _no_file(path) from error
    if not flags & os.O_DIRECTORY and not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_file(path)
    return descriptor


def _no_file(path: Path) -> DataError:
    return DataError(f"{path} is not a regular file, so it cannot be the lock of a run; remove it")


def _lock_both(folder: Path) -> list[int]:
    """Descriptors of the lock file and the folder, both locked for this process alone.

    Raises:
        BlockingIOError: One of them is locked already; none of them is locked by this call then.
    """
    found: list[int] = []
    try:
        found.append(_open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK))
        fcntl.flock(found[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        found.append(_open(folder, os.O_RDONLY | os.O_DIRECTORY))
        try:
            fcntl.flock(found[1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            os.close(found.pop())
    except BaseException:
        FolderLock(found).release()
        raise
    return found


def _is_locked(path: Path, flags: int) -> bool:
    try:
        descriptor = _open(path, flags)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)
    return False


def _adopt(folder: Path) -> FolderLock | None:
    """Return the lock of `folder` that the launcher handed over to this process; None if it did not."""
    names = os.environ.get(HANDED_OVER, "").split(",")
    if not all(name.isdecimal() for name in names):
        return None
    descriptors = [int(name) for name in names]
    try:
        # The lock file may have been deleted since; the folder is the same as long as the run is.
        known = {_identity(path.stat()) for path in (folder, folder / LOCK) if path.exists()}
        if not known & {_identity(os.fstat(descriptor)) for descriptor in descriptors}:
            return None
        for descriptor in descriptors:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held already: asked to be certain
            os.set_inheritable(descriptor, False)
    except OSError:
        return None  # not what the variable says: take the lock as anybody else
    del os.environ[HANDED_OVER]
    return FolderLock(descriptors, is_inherited=True)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


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
