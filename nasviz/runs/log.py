"""The last words of a worker: the end of the log in its run folder."""

from __future__ import annotations

from pathlib import Path

from nasviz import guarded_files
from nasviz.runs.files import LOG

__all__ = ["last_line"]

_END = 4096
"""Bytes that are read of a log, which may be long."""


def last_line(folder: Path) -> str:
    """Return the last line of the log in `folder`; empty where there is none.

    Raises:
        UnsafeFileError: The log is a link, or no regular file.
        OSError: This user may not read it.
    """
    try:
        with guarded_files.open_regular(folder / LOG) as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _END))
            lines = file.read(_END).decode(errors="replace").strip().splitlines()
    except FileNotFoundError:
        return ""
    return lines[-1] if lines else ""
