"""A worker process that answers calls over its pipes, watched for time and memory.

The operating system's limit on address space is of no use here, because torch with CUDA reserves far more
than it touches. So the resident memory is polled, and a worker that exceeds its limit is killed.
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
from pathlib import Path
from typing import Any

import psutil
from pydantic import ValidationError

import nasviz
from nasviz.errors import NasvizError
from nasviz.jobs.job import Job, Limits
from nasviz.jobs.protocol import Call, Event, Trusted, read_event, write_line
from nasviz.jobs.tasks import Request

__all__ = ["OWN_GROUP", "WARM", "WorkerProcess", "environment"]

POLL_S = 0.1
OWN_GROUP: dict[str, Any] = {
    "start_new_session": True,  # Windows ignores it, and other systems have no creation flags
    "creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
}
"""Options of a child process that Ctrl-C in this terminal does not reach."""
WARM = "--warm"
"""Option of a worker: load and trace a small network before the first call."""
_NUMBERS = itertools.count()


def environment() -> dict[str, str]:
    """Return the environment of a child process, with this package first on PYTHONPATH.

    So a bare clone works without being installed.
    """
    home = str(Path(nasviz.__file__).parents[1])
    path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH", ""))))
    return os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


class WorkerProcess:
    """Runs `python -m MODULE` and sends it one call at a time.

    The worker ends at the end of its input: with `close`, and also when this process ends in whatever way.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (closed by `close`)
        # -P: what lies in the working directory must not stand in for an installed package.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment(),
            **OWN_GROUP,
        )
        self._is_ready = False
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="nasviz-worker-reader", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the worker still runs."""
        return self._process.poll() is None

    def serve(self, job: Job[Any], request: Request[Any], trusted: Trusted, limits: Limits) -> bool:
        """Let the worker carry out a task; return whether the worker can be called again afterwards."""
        call = Call(next(_NUMBERS), request.task_name(), request.model_dump(mode="json"), trusted)
        deadline = time.monotonic() + limits.time_s
        # Worker and server share the position in the log file, so this empties it for both.
        self._log.seek(0)
        self._log.truncate()
        # The pipe is closed at its other end if the worker has died between two calls.
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.write(write_line(call))
            self._process.stdin.flush()
        job.report(None, "at work" if self._is_ready else "loading torch")
        while True:
            if job.is_cancel_requested:
                self.close()
                job.stop()
                return False
            if why := self._exceeded(limits, deadline):
                self.close()
                job.fail(f"{job.task} {why}", "LimitError")
                return False
            try:
                event = self._events.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if event is None:
                job.fail(self._crash_message(job), "WorkerCrashed")
                self.close()
                return False
            self._is_ready = True
            if event.id == call.id and _pass_on(event, job, request):
                return True

    def close(self) -> None:
        """Kill the worker and its descendants at once, and leave no zombie. Calling it twice is harmless."""
        with contextlib.suppress(psutil.Error):
            for descendant in psutil.Process(self.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    descendant.kill()
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        # A process that user code has detached may still hold the pipe: do not wait for that one.
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

    def _exceeded(self, limits: Limits, deadline: float) -> str | None:
        """Return which limit the worker has exceeded, in words; None for none."""
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

    def _crash_message(self, job: Job[Any]) -> str:
        """Return how the worker has died, with the last line of its log."""
        code = self._process.wait()
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 2000))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        words = f"; its last line: {lines[-1][:300]}" if lines else ""
        return f"the process that did {job.task} ended {how} before it was done{words}"


def _pass_on(event: Event, job: Job[Any], request: Request[Any]) -> bool:
    """Update the job; return whether that was its end."""
    match event.kind:
        case "progress":
            job.report(event.progress, event.message)
            return False
        case "done":
            try:
                result = request.result_type().model_validate(event.result)
            except (ValidationError, NasvizError) as error:
                job.fail(f"the result of {job.task} is malformed: {error}", type(error).__name__)
            else:
                job.finish(result)
            return True
        case "failed":
            job.fail(event.message, event.error)
            return True
        case _:
            return False
