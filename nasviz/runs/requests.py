"""Requests to a running worker: pause, resume, cancel. The worker looks for the request file every step."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Literal, get_args

from nasviz.errors import InvalidSettingError
from nasviz.runs.documents import is_count
from nasviz.runs.files import PAUSED, REQUEST, read_table, write_json

__all__ = [
    "Request",
    "forget_request",
    "read_request",
    "read_target",
    "wait_while_paused",
    "write_request",
    "write_target",
]

Request = Literal["cancel", "pause", "resume"]


def write_request(folder: Path, request: Request) -> None:
    """Write a request for the worker of the run in `folder`, replacing a pending one.

    Raises:
        InvalidSettingError: `request` is unknown.
        RunNotFoundError: The folder does not exist.
    """
    if request not in get_args(Request):
        raise InvalidSettingError(
            f"request={request!r} is unknown; choose one of {', '.join(get_args(Request))}"
        )
    write_json(folder / REQUEST, {"request": request, "time": time.time()})


def read_request(folder: Path) -> Request | None:
    """Return the pending request in `folder`, or None."""
    path = folder / REQUEST
    if not path.exists():
        return None
    asked = (read_table(path) or {}).get("request")
    return next((request for request in get_args(Request) if request == asked), None)


def write_target(folder: Path, target_sparsity: int) -> None:
    """Ask the loop that is recorded in `folder` to remove another number of structures."""
    document = {"request": "target", "target_sparsity": int(target_sparsity), "time": time.time()}
    write_json(folder / REQUEST, document)


def read_target(folder: Path) -> int | None:
    """Return the number of structures that `write_target` asked for, or None."""
    path = folder / REQUEST
    document = (read_table(path) or {}) if path.exists() else {}
    found = document.get("target_sparsity") if document.get("request") == "target" else None
    return found if is_count(found) else None


def forget_request(folder: Path, *, before: float | None = None, only: str | None = None) -> None:
    """Delete the pending request in `folder`, if any.

    Args:
        folder: Folder of a run, a sweep or an ablation.
        before: Delete it only if it was made before this time, in seconds since 1970.
        only: Delete it only if it is this request. A request may be replaced at any moment, and one that has
            not been answered yet must not be lost.
    """
    path = folder / REQUEST
    if before is None and only is None:
        path.unlink(missing_ok=True)
        return
    # Rename it before reading: a request written from here on is another file.
    taken = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.rename(taken)
    except FileNotFoundError:
        return
    try:
        document = read_table(taken) or {}
        is_other = only is not None and document.get("request") != only
        if is_other or (before is not None and float(document.get("time", 0.0)) >= before):
            with contextlib.suppress(FileExistsError):  # a newer request takes precedence
                os.link(taken, path)
    finally:
        taken.unlink(missing_ok=True)


def wait_while_paused(folder: Path, step: int, *, poll_interval_s: float = 0.05) -> Request:
    """Wait for a request to resume or cancel, and return it. The state of the run is "paused" meanwhile."""
    write_json(folder / PAUSED, {"step": step, "time": time.time()})
    try:
        while (request := read_request(folder)) == "pause":
            time.sleep(poll_interval_s)
    finally:
        (folder / PAUSED).unlink(missing_ok=True)
    if request == "resume":
        forget_request(folder, only="resume")
    # The file may have been removed by hand: then continue.
    return "cancel" if request == "cancel" else "resume"
