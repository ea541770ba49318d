"""Starting and stopping a sweep: its scheduler is a process of its own that outlives the server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

from nasviz.errors import RunBusyError, RunStateError
from nasviz.jobs.launch import cancel_run, detach, is_starting, trust_options
from nasviz.jobs.trust import folders_for
from nasviz.runs import Sweep, admit_sweep

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
    if sweep.is_active or is_starting(sweep):
        raise RunBusyError(f"sweep {sweep.id} is at work already; stop it before you start it again")
    if sweep.state == "done" and not (retry_failed and _has_failed(sweep)):
        raise RunStateError(f"sweep {sweep.id} is done: none of its {len(sweep.points)} runs is left to do")
    folders = admit_sweep(sweep, folders_for(sweep, trust))
    sweep.forget_request()
    command = [SCHEDULER, str(sweep.folder), f"--engine={engine}", *trust_options(folders)]
    command += [f"--slots={slots}"] if slots else []
    detach(sweep.folder, command + (["--retry-failed"] if retry_failed else []), {})


def stop_sweep(sweep: Sweep, wait_s: float = 0.0) -> bool:
    """Ask a sweep to stop, and its runs with it; whether all have within `wait_s` seconds."""
    if sweep.is_active:
        with contextlib.suppress(RunStateError):  # it has ended by itself meanwhile
            sweep.ask_to_stop()
    else:
        for run in sweep.runs():
            if run is not None and run.is_active:
                cancel_run(run)
    deadline = time.monotonic() + wait_s
    while (is_left := _is_at_work(sweep)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_left


def _is_at_work(sweep: Sweep) -> bool:
    return sweep.is_active or any(run is not None and run.is_active for run in sweep.runs())


def _has_failed(sweep: Sweep) -> bool:
    return any(run is not None and run.has_ended_in(("failed",)) for run in sweep.runs())
