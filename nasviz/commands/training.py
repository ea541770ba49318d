"""Training in the foreground: the worker's own function, with a progress line and an orderly end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from typing import TextIO

from nasviz.catalog import FACTS
from nasviz.commands.text import Steady
from nasviz.commands.watching import Watch
from nasviz.errors import NasvizError, RunStateError
from nasviz.runs import EndState, Run, admit
from nasviz.runs.files import LOG, PID, read_json
from nasviz.runs.requests import read_request
from nasviz.runs.stopping import stop_on_signals
from nasviz.settings import RunSettings

__all__ = ["check_steps", "start_detached", "train_here"]

_START_PATIENCE_S = 30.0


def train_here(run: Run, out: TextIO | None, trust: Iterable[str] | None = None) -> tuple[EndState, int]:
    """Train a run to its end in this process, from its latest checkpoint where it has one.

    Ctrl-C, `kill` and the end of the terminal save a checkpoint and end the run as cancelled, ready to be
    resumed; a second signal ends it at once.

    Args:
        run: Nobody else may be at work on it.
        out: Where progress is printed; None for nowhere.
        trust: Folders that user code may be imported from; None: those that the run names itself, where this
            user has made it.

    Returns:
        How the run ended, and the exit code that says so: 128 + n after signal n.

    Raises:
        RunBusyError: The run has a worker already.
        NasvizError: The run failed; the reason is on record.
    """

    def ask() -> bool:
        if not run.is_active or read_request(run.folder) == "cancel":
            return False  # nobody there to ask, or asked in vain: interrupt
        run.request("cancel")
        if out is not None:
            with contextlib.suppress(OSError, RuntimeError):  # gone, or just being written to
                out.write("\nstopping at a checkpoint; a second Ctrl-C stops at once\n")
        return True

    with stop_on_signals(ask) as stop:
        watch = None if out is None else Watch(run, Steady(out))
        try:
            from nasviz.train.worker import work_attended

            admit(run, trust)  # before anything of it is touched
            run.make_ready().release()
            state = work_attended(run, (lambda progress: watch.look()) if watch else None, trust=trust)
        except KeyboardInterrupt:
            end = run.end
            if end is not None and end.state == "failed":  # raised by the user's own code, not by a person
                raise NasvizError(end.error or "the run failed") from None
            state = "cancelled"
        finally:
            if watch is not None:
                watch.look()
                watch.close()
    return state, 0 if state == "done" else stop.exit_code


def check_steps(settings: RunSettings) -> None:
    """Check that the phases of a run fit into it, where the size of its data is known before they are opened.

    Raises:
        InvalidSettingError: They do not.
    """
    facts = FACTS.get(settings.data)
    if facts is not None and facts.num_train:
        settings.schedule(facts.num_train)


def start_detached(run: Run, trust: Iterable[str] | None = None) -> None:
    """Start the worker of a run as a process of its own, and wait until it is at work.

    Raises:
        RunBusyError: The run has a worker already.
        RunStateError: The run is done, or its worker ended before it began.
    """
    from nasviz import jobs

    before = read_json(run.folder / PID)
    jobs.start_run(run, trust=trust)
    deadline = time.monotonic() + _START_PATIENCE_S
    while jobs.is_starting(run) and time.monotonic() < deadline:
        time.sleep(0.05)
    if not run.is_active and run.end is None and read_json(run.folder / PID) == before:
        raise RunStateError(f"the worker of {run.id} ended before it began; {run.folder / LOG} says why")
