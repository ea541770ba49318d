"""The lock of a run: held by its worker while it lives, released by the kernel however it dies.

The lock of a sweep is held by its scheduler in the same way.

A process id alone proves nothing: a killed worker remains a zombie under a live parent, and ids are reused. A
lock file alone is not enough either: `git clean` or `rsync --delete` can remove it while the worker runs, and
the next worker would lock a new file of the same name. Therefore both the file and the folder itself are
locked.

A launcher takes the lock and hands it over to the process that it starts: the child inherits the open file
descriptors. The lock is held without a gap, so a request made while the worker is still starting is kept for
it, and a second start is refused.

On Windows, two bytes of the lock file are locked, for it cannot be deleted while it is open, and no child
inherits a lock. A launcher that hands over keeps the first byte until the child has the second one, so that
no other process can come between; if the launcher ends earlier, the child takes both.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import psutil

from nasviz.errors import DataError, NasvizError, RunBusyError, RunNotFoundError
from nasviz.guarded_files import CAN_LOCK_FOLDERS, GUARDED, try_lock, unlock
from nasviz.runs.files import LOCK, PID, is_file, read_table, require_folder, write_json
from nasviz.runs.storage import storage_error

__all__ = ["HANDED_OVER", "FolderLock", "acquire", "is_held", "write_pid"]

ACQUIRE_TIMEOUT_S = 1.0
"""Time that `acquire` waits for the lock, longer than the shared lock of any `is_held` lasts."""
HANDOVER_TIMEOUT_S = 10.0
"""Time that a child process on Windows waits for its launcher to let go of the lock."""
POLL_S = 0.02
PROBES = 5
"""Number of tries of `is_held` on Windows, where two that ask at once hinder each other for microseconds."""
HANDED_OVER = "NASVIZ_LOCK_DESCRIPTORS"
"""Environment variable with the file descriptors of the lock that a child process inherits."""
_UNSUPPORTED = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP)
"""Errors of file systems that cannot lock folders, such as NFS; there the file is the only lock."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC if CAN_LOCK_FOLDERS else -1
"""Flags to open a folder; one that the user has given may be a link."""


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
        for byte, descriptor in enumerate(descriptors):
            unlock(descriptor, byte)  # closing is not enough: a forked child shares the lock
            os.close(descriptor)

    @property
    def handed(self) -> tuple[int, ...]:
        """Descriptors that a child process inherits, for `subprocess.Popen(pass_fds=...)`."""
        return self.descriptors if CAN_LOCK_FOLDERS else ()

    def hand_over(self, has_ended: Callable[[], bool]) -> None:
        """Leave the lock to the child process that was started with `handed` and `HANDED_OVER`.

        Args:
            has_ended: Whether the child has ended, which may be before it takes the lock.
        """
        descriptors, self.descriptors = self.descriptors, ()
        if CAN_LOCK_FOLDERS:
            for descriptor in descriptors:
                os.close(descriptor)  # without unlocking: the child has inherited them
        else:
            threading.Thread(target=_leave, args=(*descriptors, has_ended), daemon=True).start()


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
    if (inherited := _adopt(folder) if CAN_LOCK_FOLDERS else _take_over(folder)) is not None:
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
        if CAN_LOCK_FOLDERS and _is_locked(folder, _FOLDER):
            return True
    except PermissionError:
        pass  # may be entered but not read: rely on the lock file
    path = folder / LOCK
    if not is_file(path):
        return False
    try:
        return _is_locked(path, os.O_RDONLY | GUARDED)
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
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.ELOOP, errno.ENXIO):
            raise
        raise _not_a_file(path) from error
    if flags != _FOLDER and not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_a_file(path)
    return descriptor


def _not_a_file(path: Path) -> DataError:
    return DataError(f"{path} is not a regular file, so it cannot serve as a lock; remove it")


def _parts(folder: Path) -> list[tuple[Path, int]]:
    """Return what is locked, with the flags to open it: on Windows two bytes of the file, by their order."""
    file = (folder / LOCK, os.O_RDWR | os.O_CREAT | GUARDED)
    return [file, (folder, _FOLDER) if CAN_LOCK_FOLDERS else file]


def _lock_both(folder: Path) -> list[int]:
    """Lock the lock file and the folder exclusively, and return their descriptors.

    Raises:
        BlockingIOError: One of them is locked already; then neither is locked by this call.
    """
    found: list[int] = []
    try:
        for byte, (path, flags) in enumerate(_parts(folder)):
            descriptor = _open(path, flags)
            try:
                if not try_lock(descriptor, byte):
                    raise BlockingIOError
            except OSError as error:
                os.close(descriptor)
                if path == folder and error.errno in _UNSUPPORTED:
                    break
                raise
            found.append(descriptor)
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
        if CAN_LOCK_FOLDERS:
            return not _probe(descriptor, 0)
        return not all(_probe(descriptor, byte) for byte in range(2))
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    finally:
        os.close(descriptor)


def _probe(descriptor: int, byte: int) -> bool:
    """Return whether it can be locked, and leave it unlocked."""
    for attempt in range(1 if CAN_LOCK_FOLDERS else PROBES):
        if try_lock(descriptor, byte, shared=True):
            unlock(descriptor, byte)
            return True
        if attempt:
            time.sleep(POLL_S / PROBES)
    return False


def _leave(first: int, second: int, has_ended: Callable[[], bool]) -> None:
    """Hold the first byte until a child process has locked the second one, or has ended."""
    unlock(second, 1)
    while not has_ended() and _probe(second, 1):
        time.sleep(POLL_S)
    unlock(first)
    os.close(first)
    os.close(second)


def _take_over(folder: Path) -> FolderLock | None:
    """Return the lock of `folder`, taken in the order that `_leave` expects; None if no launcher holds it."""
    if os.environ.pop(HANDED_OVER, None) is None:
        return None
    found: list[int] = []
    deadline = time.monotonic() + HANDOVER_TIMEOUT_S
    path, flags = _parts(folder)[0]
    for byte in (1, 0):
        found.insert(0, _open(path, flags))
        while not try_lock(found[0], byte):
            if time.monotonic() >= deadline:
                for descriptor in found:
                    os.close(descriptor)
                return None  # another process holds the lock: `acquire` says so
            time.sleep(POLL_S)
    return FolderLock(found, is_inherited=True)


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
            if not try_lock(descriptor):  # held by another process
                return None
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
