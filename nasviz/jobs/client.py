"""Submit tasks to worker processes: requests go out as data, results come back as data.

One warm worker serves the networks of the catalog in turn. User code gets a fresh worker for every task, so
that nothing it does to its interpreter can affect other tasks. Results are cached by request and by the
content of the files that determine them.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nasviz.jobs.cache import ResultCache, key_of
from nasviz.jobs.job import Job, Limits
from nasviz.jobs.protocol import Trusted
from nasviz.jobs.tasks import Request, ResultT
from nasviz.jobs.trust import allow
from nasviz.jobs.worker_pool import WORKER, WorkerPool

__all__ = ["TaskClient", "close", "shared_client", "submit", "warm_up"]


class TaskClient:
    """Submits tasks to its own worker processes.

    Args:
        module: The module that a worker runs.
    """

    def __init__(self, module: str = WORKER) -> None:
        self.cache = ResultCache()
        self.pool = WorkerPool(module)

    def submit(
        self,
        request: Request[ResultT],
        *,
        limits: Limits | None = None,
        trust: Iterable[str | Path] | None = None,
    ) -> Job[ResultT]:
        """Submit a task.

        Args:
            request: The task and its arguments.
            limits: Limits other than those of the request's class.
            trust: Folders that the code of a run in the request may be imported from. None: those of this
                process, or those that the run names itself if this user has made it.

        Raises:
            UntrustedCodeError: The task would import user code that this process does not trust.
            ConsentNeededError: The import, or a task of that size, has not been approved yet.
            WeightsError: A file that the task reads is gone, or too large.
        """
        trusted = allow(request, trust)
        arguments, files = request.model_dump(mode="json"), request.files()
        is_isolated = request.is_isolated or trusted is not None
        # User code may change from one minute to the next, so its results are not cached.
        key = None if files is None or is_isolated else key_of(request.task_name(), arguments, files)
        known: Any = None if key is None else self.cache.get(key)
        job = Job[ResultT](
            request.task_name(), None if key is None else lambda result: self.cache.put(key, result)
        )
        if known is not None:
            job.finish(known)
        else:
            self.pool.serve(
                job, request, trusted or Trusted(), limits or request.limits, is_isolated=is_isolated
            )
        return job


_CLIENT = TaskClient()
atexit.register(_CLIENT.pool.close)


def shared_client() -> TaskClient:
    """Return the client of this process."""
    return _CLIENT


def submit(
    request: Request[ResultT], *, limits: Limits | None = None, trust: Iterable[str | Path] | None = None
) -> Job[ResultT]:
    """Submit a task to the workers of this process; see `TaskClient.submit`."""
    return _CLIENT.submit(request, limits=limits, trust=trust)


def warm_up() -> None:
    """Start the warm worker ahead of the first task."""
    _CLIENT.pool.warm_up()


def close() -> None:
    """End all workers of this process."""
    _CLIENT.pool.close()
