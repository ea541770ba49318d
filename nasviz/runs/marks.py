"""Marks of settings that this user has written on this machine.

A mark is an HMAC-SHA256 of the settings in `config.json`, with a key that only this user can read. It stays
valid when a run is copied, but not when a setting changes or the mark is moved to other settings. A mark
proves where settings come from. It never makes a folder inside the runs folder trusted.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasviz.guarded_files import GUARDED

__all__ = ["KEY_FILE", "is_marked", "make_mark", "state_folder"]

KEY_FILE = "run-marks.key"
_KEY_BYTES = 32


def state_folder() -> Path:
    """Return the folder for per-user state: `$XDG_STATE_HOME/nasviz`."""
    base = os.environ.get("XDG_STATE_HOME", "")
    # XDG base directory specification: a relative path is invalid and must be ignored.
    home = Path(base) if Path(base).is_absolute() else Path("~/.local/state").expanduser()
    return home / "nasviz"


def make_mark(kind: str, document: Mapping[str, Any]) -> str | None:
    """Return the mark of settings as hexadecimal digits, or None if no key can be stored on this machine.

    Args:
        kind: "run" or "sweep"; a mark of one kind is not valid for the other.
        document: The settings as JSON data.
    """
    key = _read_key() or _new_key()
    return None if key is None else _hmac(key, kind, document)


def is_marked(kind: str, document: Mapping[str, Any], mark: object) -> bool:
    """Return whether `mark` was made for exactly these settings with this user's key."""
    if not isinstance(mark, str) or not mark.isascii() or (key := _read_key()) is None:
        return False
    return hmac.compare_digest(mark, _hmac(key, kind, document))


def _hmac(key: bytes, kind: str, document: Mapping[str, Any]) -> str:
    text = json.dumps([f"nasviz {kind}", document], sort_keys=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _read_key() -> bytes | None:
    """Return the key if its file is regular and readable by this user only, else None."""
    try:
        descriptor = os.open(state_folder() / KEY_FILE, os.O_RDONLY | GUARDED)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        # Windows has no such modes; there the rights of the user's profile protect the file.
        is_private = not hasattr(os, "geteuid") or (
            status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077
        )
        if not stat.S_ISREG(status.st_mode) or not is_private:
            return None
        key = file.read(_KEY_BYTES + 1)
    return key if len(key) == _KEY_BYTES else None


def _new_key() -> bytes | None:
    """Create the key file atomically and return the key; that of another process if it was faster."""
    folder = state_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = folder / f".{KEY_FILE}.{secrets.token_hex(6)}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | GUARDED, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(descriptor)
        try:
            # A hard link fails if the name is taken, so no process replaces a key that another one has used.
            with contextlib.suppress(FileExistsError):
                os.link(temporary, folder / KEY_FILE)
        finally:
            temporary.unlink()
    except OSError:
        return None  # read-only home: runs stay unmarked, and the user is asked before code runs
    return _read_key()
