"""A child that is kept warm: started ahead, asked by all sessions in turn, replaced when it is lost.

Loading torch takes seconds, tracing a small network a fraction of one. So one child is started with the
server and serves one job after the other. After a cancel, a crash or a passed limit a new one is started at
once.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from typing import Any

from nasviz.jobs.job import Job
from nasviz.jobs.process import WARM, ChildProcess, Limits

__all__ = ["WarmChild"]


class WarmChild:
    """Serves jobs in the order in which they were handed in."""

    def __init__(self, module: str = "nasviz.jobs.child") -> None:
        self._module = module
        self._queue: queue.SimpleQueue[tuple[Job, Mapping[str, Any], Limits] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._child: ChildProcess | None = ChildProcess(module, WARM)
        self._current: Job | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name="nasviz-warm-child", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Process id of the child of the moment."""
        child = self._child
        return child.pid if child is not None else None

    def submit(self, job: Job, arguments: Mapping[str, Any], limits: Limits) -> None:
        """Put a job at the end of the queue."""
        self._queue.put((job, arguments, limits))

    def close(self) -> None:
        """End the child; jobs that wait or run are cancelled."""
        self._is_closed = True
        if self._current is not None:
            self._current.cancel()
        self._queue.put(None)
        self._thread.join()
        with self._lock:
            if self._child is not None:
                self._child.close()
                self._child = None

    def _serve(self) -> None:
        while (item := self._queue.get()) is not None:
            job, arguments, limits = item
            if job.is_asked_to_cancel or self._is_closed:
                job.stop()
                continue
            self._current = job
            if not self._living().serve(job, arguments, limits) and not self._is_closed:
                self._replace()
            self._current = None

    def _living(self) -> ChildProcess:
        """The child, or a new one where it has died while nobody asked."""
        if self._child is None or not self._child.is_alive:
            self._replace()
        assert self._child is not None
        return self._child

    def _replace(self) -> None:
        with self._lock:
            if self._child is not None:
                self._child.close()
            self._child = ChildProcess(self._module, WARM)
