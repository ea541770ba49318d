"""Requests to a running worker: pause, resume, cancel. The worker looks for the request file every step."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from nasviz.errors import InvalidSettingError
from nasviz.runs.documents import is_count
from nasviz.runs.files import PAUSED, REQUEST, TARGET, read_table, write_json

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
    write_json(folder / TARGET, {"target_sparsity": int(target_sparsity), "time": time.time()})


def read_target(folder: Path) -> dict[str, Any] | None:
    """Return the document that `write_target` wrote, with `target_sparsity` and `time`, or None."""
    path = folder / TARGET
    document = read_table(path) if path.exists() else None
    return document if document is not None and is_count(document.get("target_sparsity")) else None


def forget_request(
    folder: Path, *, before: float | None = None, only: str | Mapping[str, Any] | None = None
) -> None:
    """Delete the pending requests in `folder`, if any.

    Args:
        folder: Folder of a run, a sweep or an ablation.
        before: Delete them only if they were made before this time, in seconds since 1970.
        only: Delete only this request, or this document of `read_target`. A request may be replaced at any
            moment, and one that has not been answered yet must not be lost.
    """
    if not isinstance(only, Mapping):
        _forget(
            folder / REQUEST,
            lambda found: (only is None or found.get("request") == only) and _is_before(found, before),
        )
    if not isinstance(only, str):
        _forget(folder / TARGET, lambda found: (only is None or found == only) and _is_before(found, before))


def _is_before(document: Mapping[str, Any], before: float | None) -> bool:
    return before is None or float(document.get("time", 0.0)) < before


def _forget(path: Path, is_meant: Callable[[Mapping[str, Any]], bool]) -> None:
    # Rename it before reading: a request written from here on is another file.
    taken = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.rename(taken)
    except FileNotFoundError:
        return
    try:
        if not is_meant(read_table(taken) or {}):
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
