"""The loop of a worker process: calls in, events out, an end when the input ends.

The channel for events is detached from the rest of the process before anything else is loaded: standard
output becomes standard error, also for C libraries, so nothing that is printed can get among the events.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

import nasviz
from nasviz.errors import NasvizError
from nasviz.jobs.protocol import Call, Event, read_call, write_line
from nasviz.jobs.tasks import Request
from nasviz.jobs.trust import require_allowed

__all__ = ["Channel", "Report", "perform", "serve", "task"]


class Report(Protocol):
    """How a task reports its progress."""

    def __call__(self, progress: float | None, message: str) -> None:
        """Send the completed share and what is being done."""


RequestT = TypeVar("RequestT", bound=Request[Any])
ResultT = TypeVar("ResultT", bound=BaseModel)
_TASKS: dict[str, tuple[type[Request[Any]], Callable[[Any, Report], BaseModel]]] = {}


def task(function: Callable[[RequestT, Report], ResultT]) -> Callable[[RequestT, Report], ResultT]:
    """Register the function that carries out the task of its `request` annotation.

    Raises:
        TypeError: The function does not return what the request promises.
    """
    hints = typing.get_type_hints(function)
    request: type[Request[Any]] = hints["request"]
    if hints["return"] is not request.result_type():
        raise TypeError(f"{function.__name__} must return {request.result_type().__name__}")
    _TASKS[request.task_name()] = request, function
    return function


def perform(call: Call, report: Report) -> dict[str, Any]:
    """Carry out a call and return its result as plain data.

    This process imports the code that a request names, so it is checked here, for every task.

    NaN and infinities become None, because JSON does not have them.

    Raises:
        UntrustedCodeError: The request names code that it may not import.
    """
    request_type, function = _TASKS[call.task]
    request = request_type.model_validate(call.request)
    require_allowed(request, call.trusted)
    return function(request, report).model_dump(mode="json")


class Channel:
    """Events to the server, through what was the standard output of this process."""

    def __init__(self) -> None:
        self._descriptor = os.dup(1)
        os.dup2(2, 1)

    def send(self, event: Event) -> None:
        """Write one event, whole.

        Raises:
            ValueError: It holds a NaN, an infinity, or a value that is not plain data.
        """
        line = memoryview(write_line(event))
        while line:
            line = line[os.write(self._descriptor, line) :]


def serve(channel: Channel) -> None:
    """Answer calls in turn until the input ends; the process ends with it, whatever it is doing then."""
    calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(calls,), daemon=True).start()
    channel.send(Event("ready"))
    while True:
        _answer(calls.get(), channel)


def _listen(calls: queue.SimpleQueue[Call]) -> None:
    for line in sys.stdin.buffer:
        calls.put(read_call(line))
    # The server is gone, so nothing waits for the result.
    os._exit(0)


def _answer(call: Call, channel: Channel) -> None:
    def report(progress: float | None, message: str) -> None:
        channel.send(Event("progress", call.id, progress, message))

    try:
        channel.send(Event("done", call.id, result=perform(call, report)))
    except NasvizError as error:
        channel.send(Event("failed", call.id, message=str(error), error=type(error).__name__))
    except SystemExit as error:
        words = f"the code called sys.exit({error.code!r})"
        channel.send(Event("failed", call.id, message=words, error="SystemExit"))
    except Exception as error:
        # The process boundary: a user's model may raise anything, and the client has to learn of it.
        traceback.print_exc()
        channel.send(Event("failed", call.id, message=_in_words(error), error=type(error).__name__))


def _in_words(error: Exception) -> str:
    """Return an error with the last line of code outside this package and its libraries, if there is one."""
    home = str(Path(nasviz.__file__).parent)
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(home) and "site-packages" not in frame.filename
    ]
    place = f" (at {own[-1].filename}:{own[-1].lineno})" if own else ""
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {words[0] if words else 'no message'}{place}"
