"""One process of a run under torchrun, on one machine or several.

    torchrun --nproc-per-node 2 -m nasviz train --model demonet --target-sparsity 3 --epochs 2
    torchrun --nproc-per-node 2 -m nasviz runs resume runs/20260102-120000-demonet-1a2b3c

The number of processes is that of torchrun. Only the machine of rank 0 needs the folder of runs. After a
restart by torchrun (`--max-restarts`), all processes resume the same run from its last good checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import psutil

from nasviz.cli.consent import require_typed, trusted
from nasviz.cli.text import say
from nasviz.errors import InvalidSettingError
from nasviz.runs import Run, RunSettings, Store, Writer, own_folders
from nasviz.runs import open as open_run
from nasviz.runs.files import read_json, write_json

__all__ = ["is_member", "resume_member", "train_member"]

LAUNCHER = "launcher.json"
"""File in a run that identifies the torchrun which has created it; a restart finds the run by it."""
OVER = ("done", "failed")


def is_member() -> bool:
    """Return whether torchrun has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def train_member(settings: RunSettings, folders: tuple[str, ...], runs: Path) -> int:
    """Train a new run, or after a restart the one that this launcher has created, together with the others.

    Raises:
        InvalidSettingError: Another number of processes was asked for than torchrun has started.
        UntrustedCodeError: The run imports code that lies in none of the trusted folders.
    """
    world = int(os.environ["WORLD_SIZE"])
    if settings.processes not in (1, world):
        raise InvalidSettingError(
            f"--nproc {settings.processes} was asked for, but torchrun has started {world} processes; leave"
            " it out"
        )
    settings = settings.changed(processes=world)
    require_typed([settings], folders, runs)
    return _take_part(lambda: _created(settings, runs), folders or None, folders)


def resume_member(run: str, runs: Path, trust: Iterable[Path]) -> int:
    """Resume a run together with the other processes; `run` is its id or folder.

    Without trusted folders it imports only from its own ones, where this user has made it.
    """
    folders = trusted(trust)
    require_typed([], folders, runs)
    # The machine of a process other than the first may lack the folder of the run.
    others = folders or (own_folders(open_run(run, runs)) if _is_there(run, runs) else ())
    return _take_part(lambda: open_run(run, runs), folders or None, others)


def _is_there(run: str, runs: Path) -> bool:
    return Path(run).is_dir() or (runs / run).is_dir()


def _take_part(find: Callable[[], Run], trust: Sequence[str] | None, trust_of_others: Sequence[str]) -> int:
    """Train the run that the first process finds; the others receive its settings from it."""
    from nasviz.train import processes
    from nasviz.train.execution import execute, take_part
    from nasviz.train.member import end_with_parent
    from nasviz.train.worker import read_back

    end_with_parent()
    own = processes.join()
    run = find() if own.is_first else None
    document, is_over = own.agree(None if run is None else [run.settings.to_json(), run.has_ended_in(OVER)])
    if is_over and _num_restarts():
        return 0  # it ended on purpose before the restart, and its end is on record
    if run is None:
        take_part(RunSettings.from_json(document), own, trust=trust_of_others)
    else:
        with Writer(run, read_back=read_back) as writer:
            say(f"{run.id} in {run.folder}")
            execute(run, writer, processes=own, trust=trust)
    processes.leave()
    return 0


def _created(settings: RunSettings, runs: Path) -> Run:
    """Return the run that this launcher created before it was restarted, or a new one."""
    launcher, store = _launcher(), Store(runs)
    if _num_restarts():
        for summary in store.list():
            run = store.open(summary.id)
            if read_json(run.folder / LAUNCHER) == launcher:
                return run
    run = store.create(settings)
    write_json(run.folder / LAUNCHER, launcher)
    return run


def _launcher() -> dict[str, str | float]:
    """Return what tells this torchrun from all others: the id of its job, or its process."""
    name = os.environ["TORCHELASTIC_RUN_ID"]
    if name != "none":
        return {"job": name}
    parent = psutil.Process(os.getppid())
    return {"pid": parent.pid, "create_time": parent.create_time()}


def _num_restarts() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
