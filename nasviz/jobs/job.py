"""One piece of work in a child process, as its asker sees it: state, progress, result, cancel.

A job is written to by the thread that serves it and read by anybody. It ends once, in one of three ways;
being cancelled is not an error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Literal

from nasviz.errors import JobError

__all__ = ["Job", "JobState"]

JobState = Literal["running", "done", "failed", "cancelled"]


class Job:
    """Work that was handed in; waiting for its turn counts as running.

    Args:
        task: What is done, as the child's table of tasks names it.
        on_done: Called with the result, before anybody can see it.

    Examples:
        >>> job = Job("analyze")
        >>> job.report(0.5, "tracing")
        >>> job.finish({"vertices": 24})
        >>> job.state, job.progress, job.require()
        ('done', 1.0, {'vertices': 24})
    """

    def __init__(self, task: str, on_done: Callable[[dict[str, Any]], None] | None = None) -> None:
        self.task = task
        self._on_done = on_done
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._asked_to_cancel = threading.Event()
        self._state: JobState = "running"
        self._progress: float | None = None
        self._message = "waiting for its turn"
        self._result: dict[str, Any] | None = None
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
        """Share that is done, in [0, 1]; None where nobody can tell."""
        return self._progress

    @property
    def message(self) -> str:
        """What is being done, in a few words."""
        return self._message

    @property
    def result(self) -> dict[str, Any] | None:
        """What came out; None unless the job is done."""
        return self._result

    @property
    def error(self) -> str | None:
        """Why it failed, in words; None unless it did."""
        return self._error

    @property
    def error_kind(self) -> str | None:
        """Class of the error that the child raised, such as `TraceError`."""
        return self._kind

    @property
    def is_asked_to_cancel(self) -> bool:
        """Whether somebody wants it to stop."""
        return self._asked_to_cancel.is_set()

    def cancel(self) -> None:
        """Ask for an end. Nothing happens where the job has ended already."""
        self._asked_to_cancel.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; whether it has come."""
        return self._ended.wait(timeout)

    def require(self) -> dict[str, Any]:
        """Wait for the result.

        Raises:
            JobError: The job failed, with the child's own words, or was cancelled.
        """
        self.wait()
        if self._result is None:
            raise JobError(self._error or f"{self.task} was cancelled")
        return self._result

    def report(self, progress: float | None, message: str) -> None:
        """Say how far it is."""
        if self._state == "running":
            self._progress, self._message = progress, message

    def finish(self, result: dict[str, Any]) -> None:
        """End with a result."""
        if self._on_done is not None:
            self._on_done(result)
        self._end("done", result=result)

    def fail(self, error: str, kind: str | None = None) -> None:
        """End with an error in words."""
        self._end("failed", error=error, kind=kind)

    def stop(self) -> None:
        """End because somebody asked for it."""
        self._end("cancelled")

    def _end(
        self,
        state: JobState,
        *,
        result: dict[str, Any] | None = None,
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
