"""One task in a worker process, as its client sees it: state, progress, result, cancellation.

A job is written to by the thread that serves it and read by any other. It ends once, in one of three ways;
a cancelled job is not an error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import psutil

from nasviz.errors import JobError

__all__ = ["Job", "JobState", "Limits"]

JobState = Literal["running", "done", "failed", "cancelled"]
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Limits:
    """Time and memory limits of one task."""

    time_s: float = 300.0
    memory_mb: int = max(4096, psutil.virtual_memory().total * 3 // 4 // 2**20)
    """Resident memory of the worker and of the processes it has started, in MiB."""


class Job(Generic[ResultT]):
    """A task that was submitted; waiting in a queue counts as running.

    Args:
        task: Name of the task.
        on_done: Called with the result before any reader can see it.

    Examples:
        >>> job = Job[int]("count")
        >>> job.report(0.5, "counting")
        >>> job.finish(24)
        >>> job.state, job.progress, job.require()
        ('done', 1.0, 24)
    """

    def __init__(self, task: str, on_done: Callable[[ResultT], None] | None = None) -> None:
        self.task = task
        self._on_done = on_done
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._cancel_requested = threading.Event()
        self._state: JobState = "running"
        self._progress: float | None = None
        self._message = "waiting for its turn"
        self._result: ResultT | None = None
        self._error: str | None = None
        self._kind: str | None = None

    def __repr__(self) -> str:
        return f"<Job {self.task}: {self._state}, {self._message}>"

    @property
    def state(self) -> JobState:
        """`running`, `done`, `failed` or `cancelled`."""
        return self._state

    @property
    def progress(self) -> float | None:
        """Completed share in [0, 1]; None if unknown."""
        return self._progress

    @property
    def message(self) -> str:
        """What the worker is doing, in a few words."""
        return self._message

    @property
    def result(self) -> ResultT | None:
        """The result; None unless the job is done."""
        return self._result

    @property
    def error(self) -> str | None:
        """Why it failed, in words; None unless it did."""
        return self._error

    @property
    def error_kind(self) -> str | None:
        """Class of the error that the worker raised, such as `TraceError`."""
        return self._kind

    @property
    def is_cancel_requested(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancel_requested.is_set()

    def cancel(self) -> None:
        """Request an end. A job that has ended is left as it is."""
        self._cancel_requested.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; return whether it has come."""
        return self._ended.wait(timeout)

    def require(self) -> ResultT:
        """Wait for the result and return it.

        Raises:
            JobError: The job failed, with the worker's own words, or was cancelled.
        """
        self.wait()
        if self._result is None:
            raise JobError(self._error or f"{self.task} was cancelled")
        return self._result

    def report(self, progress: float | None, message: str) -> None:
        """Set the progress."""
        if self._state == "running":
            self._progress, self._message = progress, message

    def finish(self, result: ResultT) -> None:
        """End with a result."""
        if self._on_done is not None:
            self._on_done(result)
        self._end("done", result=result)

    def fail(self, error: str, kind: str | None = None) -> None:
        """End with an error in words."""
        self._end("failed", error=error, kind=kind)

    def stop(self) -> None:
        """End as cancelled."""
        self._end("cancelled")

    def _end(
        self,
        state: JobState,
        *,
        result: ResultT | None = None,
        error: str | None = None,
        kind: str | None = None,
    ) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            self._result, self._error, self._kind = result, error, kind
            self._progress = 1.0 if state == "done" else self._progress
            self._message = state
            self._state = state
            self._ended.set()
