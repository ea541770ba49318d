"""The log of a worker, in its run folder."""

from __future__ import annotations

from pathlib import Path

from nasviz import guarded_files
from nasviz.runs.files import LOG

__all__ = ["last_line"]

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
