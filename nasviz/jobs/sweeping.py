"""Starting and stopping a sweep: its scheduler is a process of its own that outlives the server."""

from __future__ import annotations

import contextlib
import time

from nasviz.errors import RunBusyError, RunStateError
from nasviz.jobs.launch import cancel_run, detach, is_starting
from nasviz.jobs.trust import require_trusted
from nasviz.runs import Sweep

__all__ = ["start_sweep", "stop_sweep"]

SCHEDULER = "nasviz.jobs.scheduler"


def start_sweep(
    sweep: Sweep, *, slots: int | None = None, retry_failed: bool = False, engine: str = "local"
) -> None:
    """Start the scheduler of a sweep, or one that goes on where the last one ended.

    Args:
        sweep: The sweep.
        slots: How many runs work at the same time; None for one a GPU, or one a core.
        retry_failed: Whether runs that failed are tried again.
        engine: Where they work, a name in `nasviz.jobs.engines.ENGINES`.

    Raises:
        RunBusyError: It has a scheduler already.
        RunStateError: Nothing is left to do.
        InvalidSettingError: A network is Python of a folder that this process does not trust.
    """
    if sweep.is_active or is_starting(sweep):
        raise RunBusyError(f"sweep {sweep.id} is at work already; stop it before you start it again")
    if sweep.state == "done" and not (retry_failed and _has_failed(sweep)):
        raise RunStateError(f"sweep {sweep.id} is done: none of its {len(sweep.points)} runs is left to do")
    for settings in sweep.settings.runs:
        require_trusted(settings)
    sweep.forget_request()
    command = [SCHEDULER, str(sweep.folder), f"--engine={engine}", *([f"--slots={slots}"] if slots else [])]
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
