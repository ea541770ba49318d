"""The lock of a run: held by its worker while it lives, released by the kernel however it dies.

The lock of a sweep is held by its scheduler in the same way.

A process id alone proves nothing: a killed worker remains a zombie under a live parent, and ids are reused. A
lock file alone is not enough either: `git clean` or `rsync --delete` can remove it while the worker runs, and
the next worker would lock a new file of the same name. Therefore both the file and the folder itself are
locked.

A launcher takes the lock and hands it over to the process that it starts: the child inherits the open file
descriptors. The lock is held without a gap, so a request made while the worker is still starting is kept for
it, and a second start is refused.
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

ACQUIRE_TIMEOUT_S = 1.0
"""Time that `acquire` waits for the lock, longer than the shared lock of any `is_held` lasts."""
POLL_S = 0.02
HANDED_OVER = "NASVIZ_LOCK_DESCRIPTORS"
"""Environment variable with the file descriptors of the lock that a child process inherits."""
_UNSUPPORTED = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP)
"""Errors of file systems that cannot lock folders, such as NFS; there the file is the only lock."""


class FolderLock:
    """Lock held by this process, as a context manager that releases it.

    Args:
        descriptors: Descriptors of the locked files.
        is_inherited: Whether the parent process took the lock and handed it over.
    """

    def __init__(self, descriptors: Sequence[int], *, is_inherited: bool = False) -> None:
        self.descriptors = tuple(descriptors)
        self.is_inherited = is_inherited

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def release(self) -> None:
        """Unlock, also for every child forked from this process; a second call does nothing."""
        descriptors, self.descriptors = self.descriptors, ()
        for descriptor in descriptors:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough: a forked child shares the lock
            os.close(descriptor)

    def hand_over(self) -> None:
        """Close the descriptors without unlocking: the child that inherited them now holds the lock."""
        descriptors, self.descriptors = self.descriptors, ()
        for descriptor in descriptors:
            os.close(descriptor)


def acquire(folder: Path, kind: str = "run", holder: str = "worker") -> FolderLock:
    """Take the lock of the run or sweep in `folder`; the caller releases it.

    A lock that was handed over to this process is adopted, once.

    Raises:
        RunBusyError: The lock is held, by another process or elsewhere in this one.
        RunNotFoundError: The folder does not exist.
        StorageError: The disk is full, or the user lacks write permission.
        DataError: The lock is not a regular file.
    """
    require_folder(folder, kind)
    is_file(folder / LOCK)  # raises if it is a link, a pipe or a folder
    if (inherited := _adopt(folder)) is not None:
        return inherited
    deadline = time.monotonic() + ACQUIRE_TIMEOUT_S
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

    Any number of processes may ask at once, even with read-only access: each takes a shared lock for some
    microseconds, whereas a worker holds an exclusive one.

    Raises:
        StorageError: The user lacks permission to read the lock.
        DataError: The lock is not a regular file.
    """
    try:
        is_folder_locked = _is_locked(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        is_folder_locked = False  # may be entered but not read: rely on the lock file
    if is_folder_locked:
        return True
    path = folder / LOCK
    if not is_file(path):
        return False
    try:
        return _is_locked(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise storage_error(path, error) from error


def write_pid(folder: Path) -> None:
    """Record this process as the worker of the run."""
    process = psutil.Process()
    document = {"pid": process.pid, "create_time": process.create_time(), "started": time.time()}
    write_json(folder / PID, document)


def _open(path: Path, flags: int) -> int:
    """Open a lock file or a folder; refuse anything else, such as a pipe on which opening would block."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.ELOOP, errno.ENXIO):
            raise
        raise _not_a_file(path) from error
    if not flags & os.O_DIRECTORY and not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_a_file(path)
    return descriptor


def _not_a_file(path: Path) -> DataError:
    return DataError(f"{path} is not a regular file, so it cannot serve as a lock; remove it")


def _lock_both(folder: Path) -> list[int]:
    """Lock the lock file and the folder exclusively, and return their descriptors.

    Raises:
        BlockingIOError: One of them is locked already; then neither is locked by this call.
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
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails unless already held
            os.set_inheritable(descriptor, False)
    except OSError:
        return None  # the variable is wrong: take the lock the usual way
    del os.environ[HANDED_OVER]
    return FolderLock(descriptors, is_inherited=True)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _describe_worker(folder: Path) -> str:
    record = read_table(folder / PID)
    if record is None:
        return "it is just starting"
    pid = record.get("pid")
    if not isinstance(pid, int) or not 0 < pid < 2**31:
        raise DataError(f"{folder / PID} does not name a process; delete it")
    return "this process" if pid == os.getpid() else f"process {pid}"
