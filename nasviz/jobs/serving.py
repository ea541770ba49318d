"""The loop of a child process: requests in, events out, an end when the input ends.

The channel for events is taken away from the rest of the process before anything else is loaded: standard
output becomes standard error, also for libraries in C, so nothing that is printed gets among the events.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import nasviz
from nasviz.errors import NasvizError
from nasviz.jobs.protocol import Event, Request, read_request, write_line

__all__ = ["Channel", "Report", "Task", "serve"]


class Report(Protocol):
    """How a task says how far it is."""

    def __call__(self, progress: float | None, message: str) -> None:
        """Send the share that is done and what is being done."""


Task = Callable[[Mapping[str, Any], Report], dict[str, Any]]


class Channel:
    """Events to the server, through what was the standard output of this process."""

    def __init__(self) -> None:
        self._descriptor = os.dup(1)
        os.dup2(2, 1)

    def send(self, event: Event) -> None:
        """Write one event, whole.

        Raises:
            ValueError: It holds a NaN, an infinity, or what is no plain data.
        """
        line = memoryview(write_line(event))
        while line:
            line = line[os.write(self._descriptor, line) :]


def serve(channel: Channel, tasks: Mapping[str, Task]) -> None:
    """Answer requests in turn until the input ends; the process ends with it, whatever it is doing then."""
    requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    channel.send(Event("ready"))
    while True:
        _answer(requests.get(), tasks, channel)


def _listen(requests: queue.SimpleQueue[Request]) -> None:
    for line in sys.stdin.buffer:
        requests.put(read_request(line))
    # The server is gone: nobody waits for what is being computed.
    os._exit(0)


def _answer(request: Request, tasks: Mapping[str, Task], channel: Channel) -> None:
    def report(progress: float | None, message: str) -> None:
        channel.send(Event("progress", request.id, progress, message))

    try:
        result = tasks[request.task](request.arguments, report)
        channel.send(Event("done", request.id, result=result))
    except NasvizError as error:
        channel.send(Event("failed", request.id, message=str(error), error=type(error).__name__))
    except SystemExit as error:
        words = f"the code asked for an end of its process: sys.exit({error.code!r})"
        channel.send(Event("failed", request.id, message=words, error="SystemExit"))
    except Exception as error:
        # The border of the process: a user's model may raise anything, and the asker has to be told.
        traceback.print_exc()
        channel.send(Event("failed", request.id, message=_in_words(error), error=type(error).__name__))


def _in_words(error: Exception) -> str:
    """An error with the last line of code outside this package and its libraries, where there is one."""
    home = str(Path(nasviz.__file__).parent)
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(home) and "site-packages" not in frame.filename
    ]
    place = f" (at {own[-1].filename}:{own[-1].lineno})" if own else ""
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {words[0] if words else 'no message'}{place}"
