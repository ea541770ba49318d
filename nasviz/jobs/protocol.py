"""What goes through the pipes between the server and a child: one JSON document a line.

The server writes requests, the child answers each with any number of progress events and one last event. A
line that is no such event is no answer: it is ignored, so that nothing a library prints can be taken for a
result.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

__all__ = ["Event", "Request", "read_event", "read_request", "write_line"]

EventKind = Literal["ready", "progress", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Request:
    """Work for a child."""

    id: int
    task: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """News from a child."""

    kind: EventKind
    id: int = -1
    """Of the request it answers; -1 for none."""
    progress: float | None = None
    message: str = ""
    """What is being done, or why it failed."""
    error: str = ""
    """Class of the error."""
    result: dict[str, Any] | None = None


def write_line(document: Request | Event) -> bytes:
    """A document as a line; NaN and infinities are refused, for they are not JSON."""
    return json.dumps(asdict(document), allow_nan=False, separators=(",", ":")).encode() + b"\n"


def read_event(line: bytes) -> Event | None:
    """The event on a line; None for a line that holds none.

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


def read_request(line: bytes) -> Request:
    """The request on a line."""
    return Request(**json.loads(line))
