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
from nasviz.runs import Run, Sweep, admit, lock
from nasviz.runs.ablation_folder import AblationFolder
from nasviz.runs.files import LOG, PID, read_table
from nasviz.runs.requests import forget_request
from nasviz.runs.storage import translate_errors

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
                pass_fds=held.descriptors,
                start_new_session=True,
            )
    except BaseException:
        held.release()
        raise
    held.hand_over()
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
