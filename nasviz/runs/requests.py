"""What people ask of a running worker: pause, go on, cancel. A request is a file, looked for once a step."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Literal, get_args

from nasviz.errors import InvalidSettingError
from nasviz.runs.files import PAUSED, REQUEST, read_table, write_json

__all__ = ["Request", "forget_request", "read_request", "wait_while_paused", "write_request"]

Request = Literal["cancel", "pause", "resume"]


def write_request(folder: Path, request: Request) -> None:
    """Leave a request for the worker of the run in `folder`; a later one replaces it.

    Raises:
        InvalidSettingError: There is no such request.
        RunNotFoundError: The folder is gone.
    """
    if request not in get_args(Request):
        raise InvalidSettingError(
            f"request={request!r} was asked for, but it must be one of {', '.join(get_args(Request))}"
        )
    write_json(folder / REQUEST, {"request": request, "time": time.time()})


def read_request(folder: Path) -> Request | None:
    """The request that waits in `folder`; one look at the file system where there is none."""
    path = folder / REQUEST
    if not path.exists():
        return None
    asked = (read_table(path) or {}).get("request")
    return next((request for request in get_args(Request) if request == asked), None)


def forget_request(folder: Path, *, before: float | None = None, only: Request | None = None) -> None:
    """Drop the request that waits in `folder`, if any.

    Args:
        folder: Of a run, a sweep or an ablation.
        before: Keep it where it was made at this time or later, in seconds since 1970.
        only: Keep it where it asks for anything else. A person may replace a request at any moment, so what
            was answered is dropped by its name: the next one must not go with it.
    """
    path = folder / REQUEST
    if before is None and only is None:
        path.unlink(missing_ok=True)
        return
    # Moved aside before it is read: what replaces it from here on is another file.
    taken = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.rename(taken)
    except FileNotFoundError:
        return
    try:
        document = read_table(taken) or {}
        is_other = only is not None and document.get("request") != only
        if is_other or (before is not None and float(document.get("time", 0.0)) >= before):
            with contextlib.suppress(FileExistsError):  # replaced meanwhile by a later one, which counts
                os.link(taken, path)
    finally:
        taken.unlink(missing_ok=True)


def wait_while_paused(folder: Path, step: int, *, look_every_s: float = 0.05) -> Request:
    """Wait until a person asks to go on or to cancel; return which. The run reads as paused meanwhile."""
    write_json(folder / PAUSED, {"step": step, "time": time.time()})
    try:
        while (request := read_request(folder)) == "pause":
            time.sleep(look_every_s)
    finally:
        (folder / PAUSED).unlink(missing_ok=True)
    if request == "resume":
        forget_request(folder, only="resume")
    # No request at all: somebody removed the file. Going on is what the run was started for.
    return "cancel" if request == "cancel" else "resume"
