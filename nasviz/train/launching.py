"""Several processes for one run, started and started again by torch's own elastic launcher.

This process holds the run's lock and trains nothing. Where a process dies, the launcher ends the others and
starts all of them anew, and they go on from the last good checkpoint. Where they ended on purpose, `end.json`
says so, and what is started after that ends at once: so a failure is told once and not tried again.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

import nasviz
from nasviz.errors import NasvizError, ProcessesError
from nasviz.runs import EndState, Run
from nasviz.runs.ending import write_end
from nasviz.runs.tail import read_position
from nasviz.train.execution import Listener, Progress

__all__ = ["RESTARTS", "launch"]

MEMBER = "nasviz.train.member"
RESTARTS = 3
"""How often dead processes are started again, before the run fails."""
LOOK_EVERY_S = 0.25
END_PATIENCE_S = 10.0


def launch(run: Run, listener: Listener | None = None) -> EndState:
    """Train `run` on the processes that its settings ask for; how it ended.

    Args:
        run: This process holds its lock.
        listener: Hears of the progress, about four times a second.

    Raises:
        NasvizError: The run failed; the reason is on record.
        ProcessesError: One of the processes died again and again.
    """
    agent = _Agent(run)
    agent.start()
    try:
        while agent.is_alive():
            agent.join(LOOK_EVERY_S)
            _tell(run, listener)
    except KeyboardInterrupt:
        write_end(run.folder, "cancelled")
        _kill_members(run)
        agent.join(END_PATIENCE_S)
        raise
    if (end := run.end) is None:
        raise agent.error or ProcessesError(f"the {run.settings.processes} processes ended without a word")
    if end.state == "failed":
        raise NasvizError(end.error or "the run failed")
    return end.state


class _Agent(threading.Thread):
    """Torch's launcher, in a thread so that this process goes on hearing signals and requests."""

    def __init__(self, run: Run) -> None:
        super().__init__(daemon=True)
        self.run_folder, self.count = run.folder, run.settings.processes
        self.error: NasvizError | None = None

    def run(self) -> None:
        # It warns that it cannot hear signals from here: that is what the thread is for.
        logging.getLogger("torch.distributed.elastic").setLevel(logging.ERROR)
        with tempfile.TemporaryDirectory() as log_folder, _environment(self.count):
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=self.count,
                rdzv_backend="c10d",
                rdzv_endpoint="127.0.0.1:0",
                local_addr="127.0.0.1",
                run_id=uuid.uuid4().hex,
                max_restarts=RESTARTS,
                logs_specs=DefaultLogsSpecs(log_dir=log_folder),
            )
            try:
                elastic_launch(config, sys.executable)("-P", "-m", MEMBER, str(self.run_folder))
            except ChildFailedError as error:
                self.error = ProcessesError(_in_words(error))


@contextmanager
def _environment(count: int) -> Iterator[None]:
    """What the processes inherit: this package on their path, and their share of the processor cores."""
    home = str(Path(nasviz.__file__).parents[1])
    path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH", ""))))
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // count))
    # Torch would tell everybody that looking for unused parameters, and finding none, costs something.
    quiet = os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR")
    own = {"PYTHONPATH": path, "OMP_NUM_THREADS": threads, "TORCH_CPP_LOG_LEVEL": quiet}
    before = {name: os.environ.get(name) for name in own}
    os.environ |= own
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def _tell(run: Run, listener: Listener | None) -> None:
    last_step, total = read_position(run.folder)
    if listener is not None and last_step >= 0 and total:
        phase = "construction" if last_step + 1 >= total else "training"
        listener(Progress(last_step + 1, total, phase))


def _kill_members(run: Run) -> None:
    """End the processes of the run at once; what is started after them finds the end on record."""
    for child in psutil.Process().children():
        try:
            if {MEMBER, str(run.folder)} <= set(child.cmdline()):
                child.kill()
        except psutil.Error:
            continue  # it has ended by itself


def _in_words(error: ChildFailedError) -> str:
    """Which process died last, how, and its last words."""
    rank, failure = error.get_first_failure()
    how = f"was killed by signal {-failure.exitcode}" if failure.exitcode < 0 else "failed"
    message = failure.message.get("message", "") if isinstance(failure.message, dict) else failure.message
    last = str(message).strip().splitlines()[-1:] if failure.exitcode >= 0 else []
    words = f": {last[0][:300]}" if last else ""
    return (
        f"the process of rank {rank} {how}, after {RESTARTS} new starts of all processes{words}; resume the"
        " run once the reason is gone, or set processes=1"
    )
