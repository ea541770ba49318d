"""Keyed marks on settings that were written on this machine by this user.

A mark is an HMAC-SHA256 over the settings as they stand in `config.json`, with a key that only this user can
read. Copying a run keeps its mark valid; changing a setting, or moving the mark to other settings, does not.
A mark says where settings come from. It never makes a folder trusted that lies inside the runs folder.
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

__all__ = ["KEY_FILE", "is_marked", "make_mark", "state_folder"]

KEY_FILE = "run-marks.key"
_KEY_BYTES = 32


def state_folder() -> Path:
    """Return the folder for what nasviz keeps about this user: `$XDG_STATE_HOME/nasviz`."""
    base = os.environ.get("XDG_STATE_HOME", "")
    # The XDG specification: a relative path is invalid and must be ignored.
    home = Path(base) if Path(base).is_absolute() else Path("~/.local/state").expanduser()
    return home / "nasviz"


def make_mark(kind: str, document: Mapping[str, Any]) -> str | None:
    """Return the mark of settings, as hexadecimal digits; None where no key can be kept on this machine.

    Args:
        kind: What the settings are of, "run" or "sweep": one's mark is not valid for the other.
        document: The settings as JSON data.
    """
    key = _read_key() or _new_key()
    return None if key is None else _sum(key, kind, document)


def is_marked(kind: str, document: Mapping[str, Any], mark: object) -> bool:
    """Return whether `mark` was made for exactly these settings with this user's key."""
    if not isinstance(mark, str) or not mark.isascii() or (key := _read_key()) is None:
        return False
    return hmac.compare_digest(mark, _sum(key, kind, document))


def _sum(key: bytes, kind: str, document: Mapping[str, Any]) -> str:
    text = json.dumps([f"nasviz {kind}", document], sort_keys=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _read_key() -> bytes | None:
    """Return the key, if it is a regular file that only this user can read."""
    try:
        descriptor = os.open(state_folder() / KEY_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        is_private = facts.st_uid == os.geteuid() and not stat.S_IMODE(facts.st_mode) & 0o077
        if not stat.S_ISREG(facts.st_mode) or not is_private:
            return None
        key = file.read(_KEY_BYTES + 1)
    return key if len(key) == _KEY_BYTES else None


def _new_key() -> bytes | None:
    """Return a new key on disk, whole from the start; that of another process where one was faster."""
    folder = state_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = folder / f".{KEY_FILE}.{secrets.token_hex(6)}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(descriptor)
        try:
            # A hard link fails where the name is taken: no process replaces the key that another has used.
            with contextlib.suppress(FileExistsError):
                os.link(temporary, folder / KEY_FILE)
        finally:
            temporary.unlink()
    except OSError:
        return None  # a home that cannot be written: runs are unmarked, and their user is asked
    return _read_key()
