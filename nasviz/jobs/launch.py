"""Starting, resuming and cancelling the worker of a run: a process of its own that outlives the server."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from nasviz.errors import RunBusyError, RunStateError
from nasviz.guarded_files import append_to
from nasviz.jobs.process import environment
from nasviz.jobs.trust import folders_for
from nasviz.runs import Run, Sweep, admit
from nasviz.runs.ablation_folder import AblationFolder
from nasviz.runs.files import LOG, PID, read_table
from nasviz.runs.hopeless import clear_hopeless
from nasviz.runs.storage import told

__all__ = [
    "cancel_run",
    "detach",
    "is_starting",
    "make_ready",
    "start_ablation",
    "start_run",
    "trust_options",
]

WORKER = "nasviz.train.worker"
ABLATION_WORKER = "nasviz.train.ablation_worker"

_WORKERS: dict[Path, subprocess.Popen[bytes]] = {}
"""Workers and schedulers that this process has started and that still live, by their folder."""


def start_run(
    run: Run,
    variables: Mapping[str, str] = MappingProxyType({}),
    *,
    trust: Iterable[str | Path] | None = None,
) -> None:
    """Start the worker of a run, or resume one that was cancelled, failed or crashed.

    The worker is detached: it survives a refresh, a rerun and the end of the server.

    Args:
        run: The run.
        variables: Added to the environment of the worker.
        trust: Folders that user code may be imported from. None: those of this process (`trust_only`), and
            where it has no limit, those that the run names itself if this user has made it.

    Raises:
        RunBusyError: It has a worker already.
        RunStateError: It is done, or is not what its sweep asks for.
        UntrustedCodeError: It would import code that is not trusted.
    """
    folders = make_ready(run, trust)
    detach(run.folder, [WORKER, str(run.folder), *trust_options(folders)], variables)


def trust_options(folders: Iterable[str]) -> list[str]:
    """Return the trusted folders as options of a worker or scheduler."""
    return [f"--trust={folder}" for folder in folders]


def make_ready(run: Run, trust: Iterable[str | Path] | None = None) -> tuple[str, ...]:
    """Check that a worker of a run may begin, and forget what was asked of an earlier one.

    Args:
        run: The run.
        trust: As for `start_run`.

    Returns:
        The folders that the worker may import from, to be handed to it.

    Raises:
        RunBusyError: It has a worker already.
        RunStateError: It is done, or is not what its sweep asks for.
        UntrustedCodeError: It would import code that is not trusted.
    """
    if run.is_active or is_starting(run):
        raise RunBusyError(f"run {run.id} is at work already; cancel it before you start it again")
    if run.state == "done":
        raise RunStateError(f"run {run.id} is done; start a new run with its settings to repeat it")
    folders = admit(run, folders_for(run, trust))
    run.forget_request()
    clear_hopeless(run.folder)
    return folders


def detach(folder: Path, command: Sequence[str], variables: Mapping[str, str]) -> None:
    """Run a module as a process of its own that writes to the log of `folder` and outlives this one."""
    with told(folder / LOG), append_to(folder / LOG) as log:
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment() | dict(variables),
            start_new_session=True,
        )
    _WORKERS[folder] = worker
    threading.Thread(target=_bury, args=(folder, worker), daemon=True).start()


def is_starting(run: Run | Sweep | AblationFolder) -> bool:
    """Whether a worker or scheduler that this process has started is still on its way to the lock."""
    worker = _WORKERS.get(run.folder)
    if worker is None or run.is_active:
        return False
    # The worker signs in as it takes the lock: one that has signed is on its way out.
    record = read_table(run.folder / PID) or {}
    return record.get("pid") != worker.pid


def start_ablation(place: AblationFolder, seeds: int, epochs: int) -> None:
    """Start a worker for the ablation on digits; it does what is not there yet.

    Raises:
        RunBusyError: One is at work there already.
    """
    if place.is_active or is_starting(place):
        raise RunBusyError(f"the ablation in {place.folder} is at work already; stop it first")
    detach(place.folder, [ABLATION_WORKER, str(place.folder), str(seeds), str(epochs)], {})


def cancel_run(run: Run, wait_s: float = 0.0) -> bool:
    """Ask the worker of a run to stop; whether it has within `wait_s` seconds. Its record stays."""
    with contextlib.suppress(RunStateError):  # it has ended by itself meanwhile
        run.request("cancel")
    deadline = time.monotonic() + wait_s
    while run.is_active and time.monotonic() < deadline:
        time.sleep(0.05)
    return not run.is_active


def _bury(folder: Path, worker: subprocess.Popen[bytes]) -> None:
    """A worker that has ended stays a zombie until somebody asks for its exit code."""
    worker.wait()
    if _WORKERS.get(folder) is worker:
        del _WORKERS[folder]
