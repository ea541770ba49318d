"""Sweep store: the folder `.sweeps` in the runs folder, with one folder per sweep."""

from __future__ import annotations

import contextlib
import os
import re
from builtins import list as builtin_list
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasviz.errors import NasvizError, RunBusyError, RunNotFoundError, RunStateError
from nasviz.guarded_files import exists, require_real_folder, sync_folder
from nasviz.runs import lock
from nasviz.runs.files import TRASH, has_config, make_folder
from nasviz.runs.labels import Labels
from nasviz.runs.marks import make_mark
from nasviz.runs.run import Run
from nasviz.runs.storage import as_damage, describe_problem, translate_errors
from nasviz.runs.store import Store, create_folder
from nasviz.runs.subnets import keep_subnet, portable
from nasviz.runs.sweep import SWEEPS, Sweep, SweepSettings, SweepState
from nasviz.runs.trust import imports_of

__all__ = ["SweepStore", "SweepSummary"]

_ID = re.compile(r"[A-Za-z0-9_-]{1,59}")


@dataclass(frozen=True, slots=True)
class SweepSummary:
    """Summary of a sweep for lists."""

    id: str
    state: SweepState
    created: float = 0.0
    """Seconds since 1970."""
    settings: SweepSettings | None = None
    """None if they cannot be read; `problem` says why."""
    counts: Counter[str] = field(default_factory=Counter)
    """Number of runs by state; `waiting` counts those that have not started."""
    labels: Labels = field(default_factory=Labels)
    problem: str | None = None
    """Description of damage in the folder."""


class SweepStore:
    """Creates, opens, lists and deletes sweeps.

    Args:
        folder: The runs folder.
    """

    def __init__(self, folder: Path | str) -> None:
        self.runs = Store(folder)
        self.folder = self.runs.folder / SWEEPS

    def create(self, settings: SweepSettings, *, taken_from: Run | Sweep | None = None) -> Sweep:
        """Create a sweep without starting it; each run is created when it starts.

        Args:
            settings: Settings of the sweep.
            taken_from: Run or sweep that the settings come from; see `Store.create`.

        Raises:
            WeightsError: The sub-network to train is gone.
        """
        place = self.runs.folder
        network = keep_subnet(place, settings.base.network)
        base = portable(place, settings.base.changed(network=network))
        document: dict[str, Any] = {"sweep": settings.to_json() | {"base": base}}
        is_user_code = any(imports_of(run) for run in settings.runs)
        if is_user_code and (taken_from is None or taken_from.is_own):
            mark = make_mark("sweep", document["sweep"])
            document |= {} if mark is None else {"mark": mark}
        with translate_errors(place):
            place.mkdir(parents=True, exist_ok=True)
        make_folder(self.folder)
        return Sweep(create_folder(self.folder, "sweep", document))

    def open(self, sweep_id: str) -> Sweep:
        """Return the sweep with the id `sweep_id`.

        Raises:
            RunNotFoundError: There is none, or `sweep_id` is not a valid id.
        """
        if not _ID.fullmatch(sweep_id) or not has_config(self.folder / sweep_id):
            raise RunNotFoundError(f"no sweep {sweep_id!r} in {self.runs.folder}; see `nasviz sweep list`")
        return Sweep(self.folder / sweep_id)

    def list(self) -> builtin_list[SweepSummary]:
        """Return a summary of every sweep, newest first; damaged sweeps have a `problem`."""
        if self.folder.is_symlink():
            return []
        try:
            with os.scandir(self.folder) as entries:
                names = [e.name for e in entries if _ID.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        summaries = []
        for name in names:
            with contextlib.suppress(RunNotFoundError):
                summaries.append(_summarize(Sweep(self.folder / name)))
        return sorted(summaries, key=lambda summary: (-summary.created, summary.id))

    def delete(self, sweep_id: str) -> None:
        """Move a sweep and its runs to the trash, from which they can be restored.

        Raises:
            RunBusyError: The sweep has a scheduler, or a run has a worker; then nothing is moved.
        """
        sweep = self.open(sweep_id)
        runs = [run for run in sweep.runs() if run is not None]
        if sweep.is_active or any(run.is_active for run in runs):
            raise RunBusyError(f"sweep {sweep_id} is running: stop it first, then delete it")
        with lock.acquire(sweep.folder, "sweep", "scheduler"):
            for run in runs:
                self.runs.delete(run.id)
            trash = self.runs.folder / TRASH / SWEEPS
            make_folder(trash.parent)
            make_folder(trash)
            sweep.folder.rename(trash / sweep_id)
        sync_folder(self.folder)

    def trash(self) -> builtin_list[str]:
        """Return the ids of the deleted sweeps, newest first."""
        try:
            require_real_folder(self.runs.folder / TRASH / SWEEPS)
            found = [e.name for e in os.scandir(self.runs.folder / TRASH / SWEEPS) if _ID.fullmatch(e.name)]
        except FileNotFoundError:
            return []
        return sorted(found, reverse=True)

    def restore(self, sweep_id: str) -> Sweep:
        """Restore a deleted sweep, with those of its runs that are in the trash.

        Raises:
            RunNotFoundError: The trash holds no such sweep.
            RunStateError: Another sweep with this id exists.
        """
        source = self.runs.folder / TRASH / SWEEPS / sweep_id
        if not _ID.fullmatch(sweep_id) or not has_config(source):
            raise RunNotFoundError(f"no sweep {sweep_id!r} in the trash of {self.runs.folder}")
        if exists(self.folder / sweep_id):
            raise RunStateError(f"cannot restore sweep {sweep_id}: a sweep with this id already exists")
        make_folder(self.folder)
        source.rename(self.folder / sweep_id)
        sweep = Sweep(self.folder / sweep_id)
        for index in range(max(len(sweep.points), sweep.num_possible)):
            with contextlib.suppress(RunNotFoundError, RunStateError):
                self.runs.restore(sweep.run_id(index))
        return sweep


def _state_of(run: Run) -> str:
    try:
        return run.state
    except RunNotFoundError:
        return "waiting"
    except NasvizError:
        return "failed"  # damaged


def _summarize(sweep: Sweep) -> SweepSummary:
    created, settings, problems = 0.0, None, []
    counts, labels = Counter[str](), Labels()
    state: SweepState = "stopped"
    try:
        with as_damage(sweep.folder):
            created = float(sweep.config.get("created") or 0.0)
            settings = sweep.settings
            counts = Counter("waiting" if run is None else _state_of(run) for run in sweep.runs())
            labels, state = sweep.labels, sweep.state
    except RunNotFoundError:
        raise
    except NasvizError as error:
        problems.append(describe_problem(error))
    return SweepSummary(
        sweep.id, state, created, settings, counts, labels, problem="; ".join(problems) or None
    )
