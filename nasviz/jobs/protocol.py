"""Messages between the server and a worker process: one JSON document per line.

The server writes calls; the worker answers each with any number of progress events and one last event. A
line that is no event is ignored, so that nothing a library prints can be taken for a result.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

__all__ = ["Call", "Event", "Trusted", "read_call", "read_event", "write_line"]

EventKind = Literal["ready", "progress", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Trusted:
    """The user code that a task may import: from these folders, and never from inside the runs folder."""

    folders: tuple[str, ...] = ()
    runs: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a task."""

    id: int
    task: str
    request: dict[str, Any]
    trusted: Trusted = Trusted()


@dataclass(frozen=True, slots=True)
class Event:
    """One answer of a worker."""

    kind: EventKind
    id: int = -1
    """Of the call that it answers; -1 for none."""
    progress: float | None = None
    message: str = ""
    """What is being done, or why it failed."""
    error: str = ""
    """Class of the error."""
    result: dict[str, Any] | None = None


def write_line(document: Call | Event) -> bytes:
    """Return a document as a line.

    Raises:
        ValueError: It holds NaN or an infinity, which JSON does not have; pydantic writes them as null.
    """
    return json.dumps(asdict(document), allow_nan=False, separators=(",", ":")).encode() + b"\n"


def read_event(line: bytes) -> Event | None:
    """Return the event on a line; None for a line that holds none.

    Examples:
        >>> read_event(write_line(Event("done", 3, result={"seconds": 0.5}))).result
        {'seconds': 0.5}
        >>> read_event(b"Downloading: 100%") is None
        True
    """
    try:
        document = json.loads(line)
    except ValueError:
        return None
    if not isinstance(document, dict) or document.get("kind") not in get_args(EventKind):
        return None
    known = Event.__dataclass_fields__
    return Event(**{name: value for name, value in document.items() if name in known})


def read_call(line: bytes) -> Call:
    """Return the call on a line."""
    values = json.loads(line)
    trusted = values.pop("trusted")
    return Call(**values, trusted=Trusted(tuple(trusted["folders"]), trusted["runs"]))
