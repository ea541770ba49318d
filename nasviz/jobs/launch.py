"""Starting, resuming and stopping runs and sweeps: processes of their own that outlive the server."""

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
from nasviz.jobs.process import OWN_GROUP, environment
from nasviz.jobs.trust import folders_for
from nasviz.runs import Run, Sweep, admit, admit_sweep, lock
from nasviz.runs.ablation_folder import AblationFolder
from nasviz.runs.files import LOG, PID, read_table
from nasviz.runs.requests import forget_request
from nasviz.runs.storage import translate_errors
from nasviz.runs.sweep import is_at_work, is_over

__all__ = [
    "cancel_run",
    "detach",
    "is_starting",
    "make_ready",
    "start_ablation",
    "start_run",
    "start_sweep",
    "stop_sweep",
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
    folders, held = make_ready(run, trust)
    detach(run.folder, [WORKER, str(run.folder), *trust_options(folders)], variables, held)


def trust_options(folders: Iterable[str]) -> list[str]:
    """Return the trusted folders as options of a worker or scheduler."""
    return [f"--trust={folder}" for folder in folders]


def make_ready(
    run: Run, trust: Iterable[str | Path] | None = None
) -> tuple[tuple[str, ...], lock.FolderLock]:
    """Check that a worker of a run may begin, and take the lock for it; see `Run.make_ready`.

    Args:
        run: The run.
        trust: As for `start_run`.

    Returns:
        The folders that the worker may import from, and the lock: both are to be handed to it.

    Raises:
        RunBusyError: It has a worker already.
        RunStateError: It is done, or is not what its sweep asks for.
        UntrustedCodeError: It would import code that is not trusted.
    """
    if run.is_active:
        raise RunBusyError(f"run {run.id} is at work already; cancel it before you start it again")
    folders = admit(run, folders_for(run, trust))
    return folders, run.make_ready()


def detach(folder: Path, command: Sequence[str], variables: Mapping[str, str], held: lock.FolderLock) -> None:
    """Run a module as a process of its own that writes to the log of `folder` and outlives this one.

    Args:
        folder: Of a run, a sweep or an ablation.
        command: Module and arguments.
        variables: Added to the environment of the process.
        held: Lock of the folder. It passes to the process, which thus holds it from its first moment on.
    """
    handed = {lock.HANDED_OVER: ",".join(map(str, held.descriptors))}
    try:
        with translate_errors(folder / LOG), append_to(folder / LOG) as log:
            worker = subprocess.Popen(
                [sys.executable, "-P", "-m", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment() | dict(variables) | handed,
                pass_fds=held.handed,
                **OWN_GROUP,
            )
    except BaseException:
        held.release()
        raise
    held.hand_over(lambda: worker.poll() is not None)
    _WORKERS[folder] = worker
    threading.Thread(target=_bury, args=(folder, worker), daemon=True).start()


def is_starting(run: Run | Sweep | AblationFolder) -> bool:
    """Return whether a worker or scheduler that this process has started has not signed in yet.

    It holds the lock already, and hears what it is asked for once it has signed in.
    """
    worker = _WORKERS.get(run.folder)
    if worker is None or worker.poll() is not None:
        return False
    record = read_table(run.folder / PID) or {}
    return record.get("pid") != worker.pid


def start_ablation(place: AblationFolder, seeds: int, epochs: int) -> None:
    """Start a worker for the ablation on digits; it does what is not there yet.

    Raises:
        RunBusyError: One is at work there already.
    """
    if place.is_active:
        raise RunBusyError(f"the ablation in {place.folder} is at work already; stop it first")
    now = time.time()
    held = lock.acquire(place.folder, "ablation")
    forget_request(place.folder, before=now)
    detach(place.folder, [ABLATION_WORKER, str(place.folder), str(seeds), str(epochs)], {}, held)


def cancel_run(run: Run, wait_s: float = 0.0) -> bool:
    """Ask the worker of a run to stop; return whether it has within `wait_s` seconds. Its record stays.

    A worker that is just starting obeys as soon as it has signed in.
    """
    with contextlib.suppress(RunStateError):  # it has ended by itself meanwhile
        run.request("cancel")
    deadline = time.monotonic() + wait_s
    while run.is_active and time.monotonic() < deadline:
        time.sleep(0.05)
    if run.is_active:
        return False
    with contextlib.suppress(RunStateError):  # a worker that died before it could answer leaves no end
        run.request("cancel")
    return True


def _bury(folder: Path, worker: subprocess.Popen[bytes]) -> None:
    """A worker that has ended stays a zombie until somebody asks for its exit code."""
    worker.wait()
    if _WORKERS.get(folder) is worker:
        del _WORKERS[folder]


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
