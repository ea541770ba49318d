"""Starting and stopping a sweep: its scheduler is a process of its own that outlives the server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

from nasviz.errors import RunBusyError, RunStateError
from nasviz.jobs.launch import cancel_run, detach, trust_options
from nasviz.jobs.trust import folders_for
from nasviz.runs import Sweep, admit_sweep, lock
from nasviz.runs.requests import forget_request
from nasviz.runs.sweep import is_at_work, is_over

__all__ = ["start_sweep", "stop_sweep"]

SCHEDULER = "nasviz.jobs.scheduler"


def start_sweep(
    sweep: Sweep,
    *,
    slots: int | None = None,
    retry_failed: bool = False,
    engine: str = "local",
    trust: Iterable[str | Path] | None = None,
) -> None:
    """Start the scheduler of a sweep, or one that goes on where the last one ended.

    Args:
        sweep: The sweep.
        slots: How many runs work at the same time; None for one a GPU, or one a core.
        retry_failed: Whether runs that failed are tried again.
        engine: Where they work, a name in `nasviz.jobs.engines.ENGINES`.
        trust: Folders that user code may be imported from; as for `start_run`.

    Raises:
        RunBusyError: It has a scheduler already.
        RunStateError: Nothing is left to do.
        UntrustedCodeError: A run of its grid would import code that is not trusted.
    """
    if sweep.is_active:
        raise RunBusyError(f"sweep {sweep.id} is at work already; stop it before you start it again")
    if sweep.state == "done" and not (retry_failed and _has_failed(sweep)):
        damaged = [run.id for run in sweep.summaries() if run is not None and run.problem]
        words = f"; damaged, and counted as failed: {', '.join(damaged)}" if damaged else ""
        raise RunStateError(
            f"sweep {sweep.id} is done: none of its {len(sweep.points)} runs is left to do{words}"
        )
    folders = admit_sweep(sweep, folders_for(sweep, trust))
    command = [SCHEDULER, str(sweep.folder), f"--engine={engine}", *trust_options(folders)]
    command += [f"--slots={slots}"] if slots else []
    now = time.time()
    held = lock.acquire(sweep.folder, "sweep", "scheduler")
    forget_request(sweep.folder, before=now)
    detach(sweep.folder, command + (["--retry-failed"] if retry_failed else []), {}, held)


def stop_sweep(sweep: Sweep, wait_s: float = 0.0) -> bool:
    """Ask a sweep to stop, and its runs with it; whether all have within `wait_s` seconds."""
    if sweep.is_active:
        with contextlib.suppress(RunStateError):  # it has ended by itself meanwhile
            sweep.ask_to_stop()
    else:
        for run in sweep.runs():
            if run is not None and is_at_work(run):
                cancel_run(run)
    deadline = time.monotonic() + wait_s
    while (is_left := _is_at_work(sweep)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_left


def _is_at_work(sweep: Sweep) -> bool:
    return sweep.is_active or any(run is not None and is_at_work(run) for run in sweep.runs())


def _has_failed(sweep: Sweep) -> bool:
    return any(run is not None and is_over(run, ("failed",)) for run in sweep.runs())
