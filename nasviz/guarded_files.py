"""Open, read and replace files in folders that somebody else may have filled.

A run folder is copied, unpacked and shared, so it may hold links, named pipes, devices and files of any
size. Here a file is opened only if it is a regular file, reached through real folders, and small enough.
Links are never followed: `O_NOFOLLOW` for the file, `lstat` for the folders that hold it. `O_NONBLOCK` keeps
the open of a named pipe from waiting for a writer.

A folder that a person names may be a link; callers resolve such a path first.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from nasviz.errors import StorageError, UnsafeFileError

__all__ = [
    "PRIVATE_FILE",
    "PRIVATE_FOLDER",
    "append_to",
    "current_umask",
    "exists",
    "is_regular",
    "make_private_folder",
    "open_regular",
    "place",
    "read_regular",
    "refusal",
    "replace_file",
    "require_real_folder",
    "require_regular",
    "require_room",
    "scratch_folder",
    "stage",
    "staging_folder",
    "sync_file",
    "sync_folder",
    "unstage",
]

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
"""Modes of what nasviz keeps for itself: other users of the machine cannot read it."""
DEEPEST = 3
"""Folders above a file that must not be links: a runs folder nests no deeper (`.trash/.sweeps/ID/file`)."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NUMBERS = itertools.count()
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
}


def refusal(path: Path, error: OSError, remedy: str = "then try again") -> StorageError:
    """Return an error that says why the file system refused `path`, and what to do.

    Examples:
        >>> print(refusal(Path("a.csv"), OSError(errno.ENOSPC, "No space left on device")))
        a.csv cannot be written: the disk is full; free some space there, then try again
    """
    if error.errno in _FULL:
        return StorageError(f"{path} cannot be written: the disk is full; free some space there, {remedy}")
    if error.errno in _FORBIDDEN:
        return StorageError(f"{path} may not be read or written by this user; choose another place, {remedy}")
    reason = error.strerror or str(error)
    return StorageError(f"{path} cannot be read or written ({reason}); check the disk, {remedy}")


# ---- looking ----


def exists(path: Path) -> bool:
    """Return whether anything has this name, a broken link included."""
    return os.path.lexists(path)


def is_regular(path: Path) -> bool:
    """Return whether `path` is a regular file in real folders."""
    try:
        require_regular(path)
    except (UnsafeFileError, FileNotFoundError, NotADirectoryError):
        return False
    return True


def require_regular(path: Path) -> os.stat_result:
    """Return the state of the regular file at `path`.

    Raises:
        UnsafeFileError: It is a link, a pipe, a device or a folder, or lies in a folder that is a link.
        FileNotFoundError: There is nothing.
    """
    _require_real_parents(path)
    state = os.lstat(path)
    _require(path, state, stat.S_IFREG)
    return state


def require_real_folder(folder: Path) -> None:
    """Check that `folder` is a folder, and no link to one; so must be the folders that hold it.

    Raises:
        UnsafeFileError: It is something else.
        FileNotFoundError: There is nothing.
    """
    _require_real_parents(folder)
    _require(folder, os.lstat(folder), stat.S_IFDIR)


def _require(path: Path, state: os.stat_result, wanted: int) -> None:
    found = stat.S_IFMT(state.st_mode)
    if found != wanted:
        raise UnsafeFileError(
            f"{path} is {_KINDS.get(found, 'something unknown')}, where {_KINDS[wanted]} belongs;"
            " it was not opened. Remove it, or restore the folder from a copy"
        )


def _require_real_parents(path: Path) -> None:
    parent = os.fspath(path)
    for _ in range(DEEPEST):
        parent = os.path.dirname(parent)  # noqa: PTH120 (called for every file of every run)
        if not parent or parent == os.sep:
            return
        state = os.lstat(parent)
        if stat.S_ISLNK(state.st_mode):
            raise UnsafeFileError(
                f"{parent} is a link, where a folder belongs; what it leads to was left alone."
                " Remove it, or restore the folder from a copy"
            )


# ---- reading ----


def open_regular(path: Path, limit: int | None = None) -> IO[bytes]:
    """Open a regular file for reading.

    Args:
        path: Of the file.
        limit: Largest size in bytes; None for any.

    Raises:
        UnsafeFileError: It is no regular file, lies behind a link, or is larger than `limit`.
        FileNotFoundError: There is nothing.
        OSError: The system refuses it.
    """
    require_regular(path)
    # Opened without blocking and looked at again: it may have been replaced since.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(descriptor, "rb")
    try:
        state = os.fstat(descriptor)
        _require(path, state, stat.S_IFREG)
        if limit is not None and state.st_size > limit:
            raise UnsafeFileError(
                f"{path} has {state.st_size:,} bytes, more than the {limit:,} that are read;"
                " restore it from a copy, or delete it"
            )
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: Path, limit: int | None = None) -> bytes:
    """Return the content of a regular file; see `open_regular`."""
    with open_regular(path, limit) as file:
        # Not more than was promised, should the file grow meanwhile.
        return file.read() if limit is None else file.read(limit + 1)[:limit]


# ---- writing ----


def make_private_folder(folder: Path) -> None:
    """Make a folder that only this user may enter, where it does not exist yet.

    Raises:
        UnsafeFileError: Something else has its name, such as a link to a folder.
        OSError: The system refuses it.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=PRIVATE_FOLDER)
    require_real_folder(folder)


def append_to(path: Path) -> IO[bytes]:
    """Open a regular file to append to it; made, for this user alone, where it does not exist.

    Raises:
        UnsafeFileError: It is no regular file, or lies behind a link.
        OSError: The system refuses it.
    """
    _require_real_parents(path)
    if exists(path):
        require_regular(path)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, PRIVATE_FILE)
    try:
        _require(path, os.fstat(descriptor), stat.S_IFREG)
    except BaseException:
        os.close(descriptor)
        raise
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "ab")


def stage(path: Path, content: bytes, mode: int = PRIVATE_FILE) -> Path:
    """Write `content` next to `path` and force it to disk; return where it is, for `place` to move.

    Raises:
        UnsafeFileError: A folder on the way is a link.
        OSError: The system refuses it; nothing is left behind.
    """
    _require_real_parents(path)
    temporary = path.with_name(f".{path.name}.{next(_NUMBERS)}.{os.getpid()}.tmp")
    with contextlib.suppress(FileNotFoundError):  # a name that somebody put there to be followed
        temporary.unlink()
    try:
        # "w" is what the file is opened for; that it is new, and no link, is added.
        with open(temporary, "wb", opener=_creating(mode)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        unstage(temporary)
        raise
    return temporary


def _creating(mode: int) -> Any:
    return lambda name, flags: os.open(name, flags | os.O_EXCL | os.O_NOFOLLOW, mode)


def place(temporary: Path, path: Path) -> None:
    """Move what was staged to `path`, and force the name to disk.

    Raises:
        UnsafeFileError: A folder has the name.
        OSError: The system refuses it; nothing is left behind.
    """
    try:
        temporary.replace(path)
        sync_folder(path.parent)
    except IsADirectoryError:
        unstage(temporary)
        require_regular(path)
        raise
    except OSError:
        unstage(temporary)
        raise


def current_umask() -> int:
    """Return the umask of this process, which only Linux tells without changing it."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022


def unstage(temporary: Path) -> None:
    """Give up what was staged: a full disk needs the room."""
    with contextlib.suppress(OSError):  # a disk that takes nothing may not give up anything either
        temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Force the names in `folder` to disk, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Force the content of a file that somebody else has written to disk.

    Raises:
        OSError: The system refuses it, as where the disk is full.
    """
    with path.open("rb") as file:
        os.fsync(file.fileno())


def require_room(error: BaseException) -> None:
    """Raise the refusal of the file system that lies behind `error`, if there is one.

    Raises:
        OSError: The disk is full, or this user may not write there.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL | _FORBIDDEN:
            raise cause
        cause = cause.__cause__ or cause.__context__


def replace_file(path: Path, content: bytes | str) -> None:
    """Write a file that a person asked for, whole or not at all; its folder is made where it is missing.

    The mode is that of the old file, else what the user's umask allows. A link that the person named is
    followed. A device such as /dev/stdout is written to directly.

    Raises:
        StorageError: The disk is full, or this user may not write there; an old file is still there.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path = path.expanduser().resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
        temporary = stage(path, data, 0o666)
        if mode is not None:
            temporary.chmod(mode)
        place(temporary, path)
    except OSError as error:
        raise refusal(path, error) from error


@contextmanager
def staging_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a hidden folder in `parent` to write files to before they are moved; it is gone after the block.

    What a killed process has left there is removed.

    Args:
        parent: Where the files will go.
        prefix: Start of its name, such as ".export-".

    Raises:
        OSError: The system refuses it.
    """
    with _held_folder(parent, prefix) as folder:
        yield folder


@contextmanager
def scratch_folder(kind: str) -> Iterator[Path]:
    """Yield a private folder for temporary files of this process; it is gone after the block.

    A process that is killed leaves its folder; the next one that makes a folder of this kind removes it.

    Args:
        kind: What it is for: letters and hyphens.

    Raises:
        UnsafeFileError: Somebody else owns the place.
        OSError: The system refuses it.

    Examples:
        >>> with scratch_folder("example") as folder:
        ...     _ = (folder / "a").write_text("b")
        >>> folder.exists()
        False
    """
    place = Path(tempfile.gettempdir()).resolve() / f"nasviz-{os.getuid()}"
    make_private_folder(place)
    if place.lstat().st_uid != os.getuid():
        raise UnsafeFileError(f"{place} belongs to another user; set TMPDIR to a folder of your own")
    with _held_folder(place, f"{kind}-") as folder:
        yield folder


@contextmanager
def _held_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Return a new folder, locked while this process lives; whoever can lock it may remove it."""
    _remove_abandoned(parent, prefix)
    folder, descriptor = _locked_folder(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _locked_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        folder = parent / f"{prefix}{secrets.token_hex(6)}"
        folder.mkdir(mode=PRIVATE_FOLDER)
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if folder.exists():
                return folder, descriptor
            os.close(descriptor)  # taken for abandoned by another process before it was locked


def _remove_abandoned(parent: Path, prefix: str) -> None:
    for folder in parent.glob(f"{prefix}*"):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # no folder, not ours, or gone meanwhile
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue  # its process lives
        finally:
            os.close(descriptor)
