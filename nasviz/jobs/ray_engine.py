"""The scheduler of a sweep over the machines of a Ray cluster: each worker of a run is a task of Ray.

What is kept is what the files say, as on one machine: the folder of the runs has to lie where all machines
see it under the same path, and nasviz has to be installed on them. A task that is lost, with its process or
its machine, leaves a run that reads as crashed; it is started again from its checkpoint, by the same rules as
a local one. Ray ends tasks by itself while a machine has less than a twentieth of its memory left, whoever
has taken it: such a run waits until there is room again. The cluster is that of RAY_ADDRESS, else one of this
machine alone, without dashboard; usage statistics are off.
"""

from __future__ import annotations

import contextlib
import logging
import os
import runpy
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nasviz.errors import JobError
from nasviz.extras import require_package
from nasviz.guarded_files import append_to
from nasviz.jobs import launch
from nasviz.jobs.scheduling import Listener, Scheduler
from nasviz.jobs.slots import Slot, count_cpus
from nasviz.runs import Run, Sweep
from nasviz.runs.files import LOG, PID, read_json

__all__ = ["RayScheduler", "be_worker"]

ADDRESS = "RAY_ADDRESS"
STORE_BYTES = 80 * 2**20
"""Of Ray's object store, the least that it takes: nothing passes through it but the names of folders."""
MOST_LOST = 50
"""How often in a row Ray may lose the task of a run before that counts as a death of its worker."""
MOST_WAIT_S = 10.0
"""Between a loss and the next try; the first waits are shorter."""


class RayScheduler(Scheduler):
    """As `Scheduler`, with tasks of Ray in the place of slots of this machine.

    Args:
        sweep: The sweep; nobody else may be seeing to it.
        limit: Runs at the same time; None for as many as the cluster has room for.
        retry_failed: Whether runs that failed are tried again, from their last checkpoint.
        listener: Called at every look.
        trust: As for `Scheduler`; the tasks of Ray get it as arguments.

    Raises:
        InvalidSettingError: Ray is not installed.
        JobError: On entering: the cluster has no room for a single run.
    """

    def __init__(
        self,
        sweep: Sweep,
        limit: int | None = None,
        *,
        retry_failed: bool = False,
        listener: Listener = lambda: None,
        trust: Iterable[str | Path] | None = None,
    ) -> None:
        self._ray = _import_ray()
        self._limit = limit
        self._tasks: dict[str, Any] = {}
        """What Ray knows each run at work by."""
        self._signed: dict[str, Any] = {}
        """Who had signed in last when the task of a run was handed to Ray."""
        self._lost: Counter[str] = Counter()
        """How often in a row Ray has lost the task of a run."""
        self._again: dict[str, float] = {}
        """When a run whose task was lost is tried again; it keeps its slot until then."""
        super().__init__(sweep, (), retry_failed=retry_failed, listener=listener, trust=trust)

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self._join()
        except BaseException:
            self._leave()
            super().__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        super().__exit__(kind, error, trace)

    def _join(self) -> None:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        # Ray puts the current folder of its caller first on the import path of its workers, also where the
        # caller runs with -P. Nobody but the administrator can put modules into the root folder.
        with contextlib.chdir(Path(sys.executable).anchor):
            if os.environ.get(ADDRESS):
                self._ray.init(address=os.environ[ADDRESS], **quiet)
            else:
                own = {"num_cpus": count_cpus(), "object_store_memory": STORE_BYTES}
                self._ray.init(address="local", include_dashboard=False, **own, **quiet)
        room = self._ray.cluster_resources()
        settings = self.sweep.settings.runs
        processes = max(run.processes for run in settings)
        has_gpus = room.get("GPU", 0) >= processes and any(run.device != "cpu" for run in settings)
        self._needs = {"num_cpus": processes} | ({"num_gpus": processes} if has_gpus else {})
        places = int(min(room.get("CPU", 0), room["GPU"] if has_gpus else float("inf"))) // processes
        if places < 1:
            raise JobError(
                f"the Ray cluster offers {room.get('CPU', 0):g} cores, and a run of this sweep asks for"
                f" {processes} processes; lower processes, or add machines"
            )
        names = [f"ray {number}" for number in range(min(self._limit or places, places))]
        self._slots = {name: Slot(name) for name in names}

    def _leave(self) -> None:
        if self._ray.is_initialized():
            self._ray.shutdown()

    def _start(self, run: Run, slot: Slot) -> None:
        self._hand_over(run)

    def _hand_over(self, run: Run) -> None:
        """Let a task begin, or go on with, a run."""
        folders, held = launch.make_ready(run, self._trust)
        held.release()  # the task takes it, maybe on another machine
        # No retry by Ray itself: the scheduler knows whether a run got any further. One process a run, and a
        # new one for the next: nothing of a user's network is left behind.
        task = self._ray.remote(max_retries=0, max_calls=1, **self._needs)(be_worker)
        self._signed[run.id] = read_json(run.folder / PID)
        self._tasks[run.id] = task.remote(launch.WORKER, str(run.folder), launch.trust_options(folders))

    def _is_at_work(self, run: Run) -> bool:
        task = self._tasks.get(run.id)
        if task is not None:
            done, _ = self._ray.wait([task], timeout=0)
            if not done:
                return True
            del self._tasks[run.id]
            if self._has_lost(run, task):
                count = self._lost[run.id] = self._lost[run.id] + 1
                if count <= MOST_LOST:
                    self._again[run.id] = time.monotonic() + min(count, MOST_WAIT_S)
            else:
                self._lost[run.id] = 0
        return self._is_tried_again(run) or run.is_active

    def _is_tried_again(self, run: Run) -> bool:
        """Return whether a run waits for its next task, which begins once it is time."""
        due = self._again.get(run.id)
        if due is None:
            return False
        if run.is_active:  # its process is on its way out still
            return True
        if self.sweep.is_asked_to_stop or run.state not in ("crashed", "created"):
            del self._again[run.id]  # a person does not want it now
            return False
        if time.monotonic() >= due:
            del self._again[run.id]
            self._hand_over(run)
        return True

    def _has_lost(self, run: Run, task: Any) -> bool:
        """Return whether Ray has lost a task: it ended before it began, or its machine lacked memory."""
        is_lost = False
        errors = self._ray.exceptions
        try:
            self._ray.get(task)
        except errors.RayError as error:
            is_told = isinstance(error, errors.RayTaskError)  # by Python, as of a missing module
            has_begun = read_json(run.folder / PID) != self._signed[run.id]
            is_lost = isinstance(error, errors.OutOfMemoryError) or not (is_told or has_begun)
            with append_to(run.folder / LOG) as log:
                log.write(f"Ray: {str(error).strip()}\n".encode())
        return is_lost


def be_worker(module: str, folder: str, options: Sequence[str] = ()) -> None:
    """In a process of Ray: become the worker of a run, as if started by name; its log is that of the run."""
    with append_to(Path(folder) / LOG) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.argv = [module, folder, *options]
    try:
        runpy.run_module(module, run_name="__main__")
    except SystemExit as end:
        if end.code not in (None, 0):
            # The reason is on record; Ray would take the exit itself for a fault of its process.
            print(end.code, file=sys.stderr, flush=True)  # noqa: T201 (to the log of the run)


def _import_ray() -> Any:
    return require_package("ray", "engine='ray'")
