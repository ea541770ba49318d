"""Worker processes: one that is kept warm and serves task after task, and fresh ones for isolated tasks.

Loading torch takes seconds, tracing a small network a fraction of one. So one worker is started with the
server. After a cancellation, a crash or an exceeded limit it is replaced at once.
"""

from __future__ import annotations

import queue
import threading
from typing import Any

from nasviz.jobs.job import Job, Limits
from nasviz.jobs.process import WARM, WorkerProcess
from nasviz.jobs.protocol import Trusted
from nasviz.jobs.tasks import Request

__all__ = ["WORKER", "WorkerPool"]

WORKER = "nasviz.jobs.worker"
MAX_ISOLATED = 2
"""How many isolated tasks run at the same time; more wait."""
_Item = tuple[Job[Any], Request[Any], Trusted, Limits]


class WorkerPool:
    """The workers of one client.

    Args:
        module: The module that a worker runs.
    """

    def __init__(self, module: str = WORKER) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._warm: _WarmWorker | None = None
        self._turn = threading.BoundedSemaphore(MAX_ISOLATED)
        self._isolated: set[Job[Any]] = set()

    @property
    def warm_pid(self) -> int | None:
        """Process id of the warm worker; None before it was started."""
        return self._warm.pid if self._warm is not None else None

    def warm_up(self) -> None:
        """Start the warm worker if there is none; return at once."""
        self._warm_worker()

    def serve(
        self,
        job: Job[Any],
        request: Request[Any],
        trusted: Trusted,
        limits: Limits,
        *,
        is_isolated: bool,
    ) -> None:
        """Let the warm worker or a fresh one carry out a task; return at once."""
        item = job, request, trusted, limits
        if is_isolated:
            threading.Thread(target=self._serve_isolated, args=(item,), daemon=True).start()
        else:
            self._warm_worker().submit(item)

    def close(self) -> None:
        """End all workers and cancel their jobs. A later job starts a new warm worker."""
        with self._lock:
            for job in tuple(self._isolated):
                job.cancel()
            if self._warm is not None:
                self._warm.close()
                self._warm = None
        for job in tuple(self._isolated):
            job.wait()

    def _warm_worker(self) -> _WarmWorker:
        with self._lock:
            if self._warm is None:
                self._warm = _WarmWorker(self._module)
            return self._warm

    def _serve_isolated(self, item: _Item) -> None:
        job = item[0]
        self._isolated.add(job)
        try:
            with self._turn:
                if job.is_cancel_requested:
                    job.stop()
                    return
                worker = WorkerProcess(self._module)
                try:
                    worker.serve(*item)
                finally:
                    worker.close()
        finally:
            self._isolated.discard(job)


class _WarmWorker:
    """Serves tasks in the order in which they were submitted."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = WorkerProcess(module, WARM)
        self._current: Job[Any] | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name="nasviz-warm-worker", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Process id of the present worker."""
        worker = self._worker
        return worker.pid if worker is not None else None

    def submit(self, item: _Item) -> None:
        """Put a task at the end of the queue."""
        self._queue.put(item)

    def close(self) -> None:
        """End the worker; jobs that wait or run are cancelled."""
        self._is_closed = True
        if self._current is not None:
            self._current.cancel()
        self._queue.put(None)
        self._thread.join()
        with self._lock:
            if self._worker is not None:
                self._worker.close()
                self._worker = None

    def _serve(self) -> None:
        while (item := self._queue.get()) is not None:
            job = item[0]
            if job.is_cancel_requested or self._is_closed:
                job.stop()
                continue
            self._current = job
            if not self._alive().serve(*item) and not self._is_closed:
                self._replace()
            self._current = None

    def _alive(self) -> WorkerProcess:
        """Return the worker, or a new one if it has died while idle."""
        if self._worker is None or not self._worker.is_alive:
            self._replace()
        assert self._worker is not None
        return self._worker

    def _replace(self) -> None:
        with self._lock:
            if self._worker is not None:
                self._worker.close()
            self._worker = WorkerProcess(self._module, WARM)
