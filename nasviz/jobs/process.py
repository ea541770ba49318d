"""A child process that answers requests over its pipes, watched for time and memory.

The limit of address space that an operating system offers is of no use here, because torch with CUDA reserves
far more than it touches. So the resident memory is read now and then, and a child that passes its limit is
killed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import nasviz
from nasviz.jobs.job import Job
from nasviz.jobs.protocol import Event, Request, read_event, write_line

__all__ = ["DEFAULT_MEMORY_MB", "WARM", "ChildProcess", "Limits", "environment"]

LOOK_EVERY_S = 0.1
WARM = "--warm"
"""Tells a child to make itself ready before it is asked for anything."""
DEFAULT_MEMORY_MB = max(4096, psutil.virtual_memory().total * 3 // 4 // 2**20)
_NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a piece of work may take."""

    time_s: float = 300.0
    memory_mb: int = DEFAULT_MEMORY_MB
    """Resident memory of the child and of what it has started, in MiB."""


def environment() -> dict[str, str]:
    """The same, with the folder of this package in front of the path: a bare clone works too."""
    home = str(Path(nasviz.__file__).parents[1])
    path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH", ""))))
    return os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


class ChildProcess:
    """Runs `python -m nasviz.jobs.child` and hands it one request at a time.

    It ends at the end of its input: with `close`, and also when this process ends in whatever way.
    """

    def __init__(self, module: str = "nasviz.jobs.child", *arguments: str) -> None:
        self._log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (closed by `close`)
        # -P: what lies in the working directory must not stand in for an installed package.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment(),
            # Its own group, so that Ctrl-C in the server's terminal does not print a traceback per child.
            start_new_session=True,
        )
        self._is_ready = False
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="nasviz-child-reader", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def serve(self, job: Job, arguments: Mapping[str, Any], limits: Limits) -> bool:
        """Let the child do the work of `job`; whether the child can be asked again afterwards."""
        request = Request(next(_NUMBERS), job.task, dict(arguments))
        deadline = time.monotonic() + limits.time_s
        # Child and server share the position in the log, so this starts a new page for both.
        self._log.seek(0)
        self._log.truncate()
        # The channel is closed from the other side when the child has died between two requests.
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.write(write_line(request))
            self._process.stdin.flush()
        job.report(None, "at work" if self._is_ready else "loading torch")
        while True:
            if job.is_asked_to_cancel:
                self.close()
                job.stop()
                return False
            if why := self._over(limits, deadline):
                self.close()
                job.fail(f"{job.task} {why}", "LimitError")
                return False
            try:
                event = self._events.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                continue
            if event is None:
                job.fail(self._obituary(job), "ChildCrashed")
                self.close()
                return False
            self._is_ready = True
            if event.id == request.id and _pass_on(event, job):
                return True

    def close(self) -> None:
        """End the child and what it has started, at once, and leave no zombie; again is no harm."""
        with contextlib.suppress(psutil.Error):
            for descendant in psutil.Process(self.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    descendant.kill()
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        # A process that user code has cut loose may still hold the channel: do not wait for that one.
        self._reader.join(timeout=2.0)
        if not self._reader.is_alive():
            assert self._process.stdout is not None
            self._process.stdout.close()
        self._log.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if (event := read_event(line)) is not None:
                self._events.put(event)
        self._events.put(None)

    def _over(self, limits: Limits, deadline: float) -> str | None:
        """Which limit the child has passed, in words."""
        if time.monotonic() > deadline:
            return f"took longer than its limit of {limits.time_s:g} s and was stopped"
        memory_mb = self._memory_mb()
        if memory_mb > limits.memory_mb:
            return (
                f"used {memory_mb:.0f} MiB of memory, more than its limit of {limits.memory_mb} MiB, and was"
                f" stopped; choose a smaller network, input or batch"
            )
        return None

    def _memory_mb(self) -> float:
        total = 0
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            for member in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    total += member.memory_info().rss
        return total / 2**20

    def _obituary(self, job: Job) -> str:
        """That the child has died, how, and its last words."""
        code = self._process.wait()
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 2000))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        words = f"; its last line: {lines[-1][:300]}" if lines else ""
        return f"the process that did {job.task} ended {how} before it was done{words}"


def _pass_on(event: Event, job: Job) -> bool:
    """Tell the job; whether it has ended with that."""
    match event.kind:
        case "progress":
            job.report(event.progress, event.message)
            return False
        case "done":
            job.finish(event.result or {})
            return True
        case "failed":
            job.fail(event.message, event.error)
            return True
        case _:
            return False
