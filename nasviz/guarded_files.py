"""Safe access to files in untrusted folders.

Run folders are copied, unpacked and shared, so they may contain links, named pipes, devices and files of any
size. A file is opened only if it is a regular file of limited size in real folders. Links are never followed:
`O_NOFOLLOW` for the file, `lstat` for the folders above it. `O_NONBLOCK` keeps opening a named pipe from
waiting for a writer.

A folder given by the user may be a link; callers resolve its path first.

Windows lacks these flags, file modes and `flock`. There a file is checked before it is opened, the rights of
the user's profile folder protect private files, and bytes of a file are locked instead of the file.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from importlib import import_module
from operator import or_
from pathlib import Path
from typing import IO, Any

from nasviz.errors import StorageError, UnsafeFileError

__all__ = [
    "CAN_LOCK_FOLDERS",
    "GUARDED",
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
    "try_lock",
    "unlock",
    "unstage",
]

try:
    _fcntl: Any = import_module("fcntl")
except ImportError:  # Windows
    _msvcrt: Any = import_module("msvcrt")
    _fcntl = None

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
"""Modes of internal files and folders: other users of the machine have no access."""
CAN_LOCK_FOLDERS = _fcntl is not None
"""Whether folders can be opened and locked, and child processes inherit locks: everywhere but on Windows."""
_GUARDS = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT")
GUARDED = reduce(or_, (getattr(os, name, 0) for name in _GUARDS))
"""Flags of `os.open` for files in untrusted folders, as far as the operating system has them."""
MAX_DEPTH = 3
"""Number of folders above a file that must not be links, as in `.trash/.sweeps/ID/file` of a runs folder."""

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
        return StorageError(f"permission denied: {path}; choose another location, {remedy}")
    reason = error.strerror or str(error)
    return StorageError(f"{path} cannot be read or written ({reason}); check the disk, {remedy}")


# ---- checks ----


def exists(path: Path) -> bool:
    """Return whether `path` exists, including broken links."""
    return os.path.lexists(path)


def is_regular(path: Path) -> bool:
    """Return whether `path` is a regular file in real folders."""
    try:
        require_regular(path)
    except (UnsafeFileError, FileNotFoundError, NotADirectoryError):
        return False
    return True


def require_regular(path: Path) -> os.stat_result:
    """Return the status of the regular file at `path`.

    Raises:
        UnsafeFileError: It is a link, pipe, device or folder, or is in a folder that is a link.
        FileNotFoundError: It does not exist.
    """
    _require_real_parents(path)
    state = os.lstat(path)
    _require(path, state, stat.S_IFREG)
    return state


def require_real_folder(folder: Path) -> None:
    """Check that `folder` and the folders above it are real folders, not links.

    Raises:
        UnsafeFileError: One of them is something else.
        FileNotFoundError: `folder` does not exist.
    """
    _require_real_parents(folder)
    _require(folder, os.lstat(folder), stat.S_IFDIR)


def _require(path: Path, state: os.stat_result, wanted: int) -> None:
    found = stat.S_IFMT(state.st_mode)
    if found != wanted:
        raise UnsafeFileError(
            f"{path} is {_KINDS.get(found, 'of unknown type')} instead of {_KINDS[wanted]} and was not"
            " opened; remove it, or restore the folder from a backup"
        )


def _require_real_parents(path: Path) -> None:
    parent = os.fspath(path)
    for _ in range(MAX_DEPTH):
        parent = os.path.dirname(parent)  # noqa: PTH120 (called for every file of every run)
        if not parent or parent == os.sep:
            return
        state = os.lstat(parent)
        if stat.S_ISLNK(state.st_mode):
            raise UnsafeFileError(
                f"{parent} is a link instead of a folder and was not followed; remove it, or restore the"
                " folder from a backup"
            )


# ---- reading ----


def open_regular(path: Path, limit: int | None = None) -> IO[bytes]:
    """Open a regular file for reading.

    Args:
        path: Path of the file.
        limit: Maximum size in bytes; None for any.

    Raises:
        UnsafeFileError: It is not a regular file, is behind a link, or is larger than `limit`.
        FileNotFoundError: It does not exist.
        OSError: The operating system refuses access.
    """
    require_regular(path)
    # Check again after opening: the file may have been replaced since `lstat`.
    descriptor = os.open(path, os.O_RDONLY | GUARDED)
    file = os.fdopen(descriptor, "rb")
    try:
        state = os.fstat(descriptor)
        _require(path, state, stat.S_IFREG)
        if limit is not None and state.st_size > limit:
            raise UnsafeFileError(
                f"{path} has {state.st_size:,} bytes, but at most {limit:,} are read;"
                " restore it from a backup, or delete it"
            )
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: Path, limit: int | None = None) -> bytes:
    """Return the content of a regular file; see `open_regular`."""
    with open_regular(path, limit) as file:
        # The file may grow while it is read.
        return file.read() if limit is None else file.read(limit + 1)[:limit]


# ---- writing ----


def make_private_folder(folder: Path) -> None:
    """Create a folder that only this user can access, if it does not exist.

    Raises:
        UnsafeFileError: The path is something else, such as a link.
        OSError: The operating system refuses it.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=PRIVATE_FOLDER)
    require_real_folder(folder)


def append_to(path: Path) -> IO[bytes]:
    """Open a regular file for appending; a new file is accessible to this user only.

    Raises:
        UnsafeFileError: It is not a regular file, or is behind a link.
        OSError: The operating system refuses it.
    """
    _require_real_parents(path)
    if exists(path):
        require_regular(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | GUARDED, PRIVATE_FILE)
    try:
        _require(path, os.fstat(descriptor), stat.S_IFREG)
    except BaseException:
        os.close(descriptor)
        raise
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "ab")


def stage(path: Path, content: bytes, mode: int = PRIVATE_FILE) -> Path:
    """Write `content` to a temporary file next to `path`, sync it to disk and return its path, for `place`.

    Raises:
        UnsafeFileError: A folder above `path` is a link.
        OSError: The operating system refuses it; no file is left behind.
    """
    _require_real_parents(path)
    temporary = path.with_name(f".{path.name}.{next(_NUMBERS)}.{os.getpid()}.tmp")
    with contextlib.suppress(FileNotFoundError):  # possibly a link planted under the temporary name
        temporary.unlink()
    try:
        # The opener adds O_EXCL and the guards to the flags of "wb".
        with open(temporary, "wb", opener=_exclusive_opener(mode)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        unstage(temporary)
        raise
    return temporary


def _exclusive_opener(mode: int) -> Any:
    return lambda name, flags: os.open(name, flags | os.O_EXCL | GUARDED, mode)


def place(temporary: Path, path: Path) -> None:
    """Rename the staged file `temporary` to `path`, and sync the folder to disk.

    Raises:
        UnsafeFileError: `path` is a folder.
        OSError: The operating system refuses it; no temporary file is left behind.
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
    """Return the umask of this process; 022 on systems other than Linux, which cannot report it unchanged."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022


def unstage(temporary: Path) -> None:
    """Delete a staged file, to free space on a full disk."""
    with contextlib.suppress(OSError):  # a disk that refuses writes may refuse this too
        temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Sync the entries of `folder` to disk, if the operating system supports it."""
    if not CAN_LOCK_FOLDERS:
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Sync the content of a file that other code has written to disk.

    Raises:
        OSError: The operating system refuses it, e.g. because the disk is full.
    """
    with path.open("rb" if CAN_LOCK_FOLDERS else "r+b") as file:  # Windows syncs only what it may write
        os.fsync(file.fileno())


def require_room(error: BaseException) -> None:
    """Raise the error of the file system that caused `error`, if there is one.

    Raises:
        OSError: The disk is full, or the user lacks write permission.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL | _FORBIDDEN:
            raise cause
        cause = cause.__cause__ or cause.__context__


def replace_file(path: Path, content: bytes | str) -> None:
    """Write a file requested by the user atomically; missing folders are created.

    An existing file keeps its mode; a new one follows the umask. A link given by the user is followed. A
    device such as /dev/stdout is written to directly.

    Raises:
        StorageError: The disk is full, or the user lacks write permission; an old file is unchanged.
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
    """Yield a hidden folder in `parent` for files that are moved to it when complete; it is then deleted.

    Folders left by killed processes are removed.

    Args:
        parent: Destination of the files.
        prefix: Prefix of the name, such as ".export-".

    Raises:
        OSError: The operating system refuses it.
    """
    with _held_folder(parent, prefix) as folder:
        yield folder


@contextmanager
def scratch_folder(kind: str) -> Iterator[Path]:
    """Yield a private folder for temporary files of this process; it is deleted after the block.

    Folders of the same kind left by killed processes are removed.

    Args:
        kind: Purpose of the folder, in letters and hyphens.

    Raises:
        UnsafeFileError: The parent folder belongs to another user.
        OSError: The operating system refuses it.

    Examples:
        >>> with scratch_folder("example") as folder:
        ...     _ = (folder / "a").write_text("b")
        >>> folder.exists()
        False
    """
    user = os.getuid() if hasattr(os, "getuid") else 0  # Windows has a temporary folder per user
    place = Path(tempfile.gettempdir()).resolve() / f"nasviz-{user}"
    make_private_folder(place)
    if place.lstat().st_uid != user:
        raise UnsafeFileError(f"{place} belongs to another user; set TMPDIR to a folder that you own")
    with _held_folder(place, f"{kind}-") as folder:
        yield folder


@contextmanager
def _held_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder that is locked while this process lives; an unlocked one counts as abandoned."""
    _remove_abandoned(parent, prefix)
    folder, descriptor = _locked_folder(parent, prefix)
    try:
        yield folder
    finally:
        if not CAN_LOCK_FOLDERS:
            os.close(descriptor)  # Windows does not delete open files
        shutil.rmtree(folder, ignore_errors=True)
        if CAN_LOCK_FOLDERS:
            os.close(descriptor)


def _locked_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        folder = parent / f"{prefix}{secrets.token_hex(6)}"
        folder.mkdir(mode=PRIVATE_FOLDER)
        with contextlib.suppress(FileNotFoundError):
            descriptor = _open_folder(folder, os.O_CREAT)
            if try_lock(descriptor) and folder.exists():
                return folder, descriptor
            os.close(descriptor)  # another process removes it as abandoned: it came before the lock


def _remove_abandoned(parent: Path, prefix: str) -> None:
    for folder in parent.glob(f"{prefix}*"):
        try:
            descriptor = _open_folder(folder)
        except OSError:  # not a folder, not ours, or already removed
            continue
        try:
            is_abandoned = try_lock(descriptor)
            if is_abandoned and CAN_LOCK_FOLDERS:
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
        if is_abandoned and not CAN_LOCK_FOLDERS:
            shutil.rmtree(folder, ignore_errors=True)


def _open_folder(folder: Path, create: int = 0) -> int:
    """Open what is locked of a folder: the folder itself, or a file in it where folders cannot be opened."""
    if CAN_LOCK_FOLDERS:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    return os.open(folder / ".lock", os.O_RDWR | create | GUARDED, PRIVATE_FILE)


# ---- locks ----

_FIRST_BYTE = 1 << 30  # beyond the content: Windows refuses to read locked bytes


def try_lock(descriptor: int, byte: int = 0, *, shared: bool = False) -> bool:
    """Lock an open file or folder without waiting, and return whether that was possible.

    Another descriptor of the same file conflicts with it, also in this process. The operating system releases
    the lock when the process ends.

    Args:
        descriptor: Descriptor of the file or folder.
        byte: Number of the byte to lock on Windows; other systems lock the whole.
        shared: Whether other shared locks are allowed. Windows has exclusive ones only.

    Raises:
        OSError: The file system cannot lock it.
    """
    try:
        if _fcntl is not None:
            _fcntl.flock(descriptor, (_fcntl.LOCK_SH if shared else _fcntl.LOCK_EX) | _fcntl.LOCK_NB)
        else:
            _lock_byte(descriptor, byte, _msvcrt.LK_NBLCK)
    except BlockingIOError:
        return False
    except PermissionError:
        if _fcntl is not None:
            raise
        return False  # how Windows says that the byte is locked
    return True


def unlock(descriptor: int, byte: int = 0) -> None:
    """Release what `try_lock` has locked, also for processes that inherited the descriptor."""
    if _fcntl is not None:
        _fcntl.flock(descriptor, _fcntl.LOCK_UN)
    else:
        _lock_byte(descriptor, byte, _msvcrt.LK_UNLCK)


def _lock_byte(descriptor: int, byte: int, mode: int) -> None:
    os.lseek(descriptor, _FIRST_BYTE + byte, os.SEEK_SET)
    _msvcrt.locking(descriptor, mode, 1)
