"""Training in the foreground: the worker's own function, with a progress line and a polite Ctrl-C."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from nasviz.commands.watching import Watch
from nasviz.errors import RunStateError
from nasviz.runs import EndState, Run
from nasviz.runs.files import LOG, PID, read_json

__all__ = ["start_detached", "train_here"]

_START_PATIENCE_S = 30.0


def train_here(run: Run, out: TextIO | None, trust: Iterable[str] | None = None) -> EndState:
    """Train a run to its end in this process, from its latest checkpoint where it has one; how it ended.

    Ctrl-C saves a checkpoint and ends the run as cancelled, ready to be resumed; another ends it at once.

    Args:
        run: Nobody else may be at work on it.
        out: Where progress is printed; None for nowhere.
        trust: Folders that user code may be imported from; None: those that the run names itself, where this
            user has made it.

    Raises:
        RunBusyError: The run has a worker already.
        NasvizError: The run failed; the reason is on record.
    """
    from nasviz.train.worker import work

    run.make_ready().release()
    watch = None if out is None else Watch(run, out)
    try:
        with _cancel_on_interrupt(run, out):
            return work(run, None if watch is None else lambda progress: watch.look(), trust=trust)
    except KeyboardInterrupt:
        return "cancelled"
    finally:
        if watch is not None:
            watch.look()
            watch.close()


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


@contextmanager
def _cancel_on_interrupt(run: Run, out: TextIO | None) -> Iterator[None]:
    """The first Ctrl-C becomes a request to the worker; where there is none yet, it interrupts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def cancel(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if not run.is_active:
            raise KeyboardInterrupt
        run.request("cancel")
        if out is not None:
            out.write("\nstopping at a checkpoint; Ctrl-C again stops at once\n")

    before = signal.signal(signal.SIGINT, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
