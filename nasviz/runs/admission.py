"""Admission control: every process that would follow the settings of a run checks first that it may."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from nasviz.errors import NasvizError, RunStateError
from nasviz.runs.files import TRASH
from nasviz.runs.run import Run
from nasviz.runs.sweep import SWEEPS, Sweep
from nasviz.runs.trust import imports_of, require_trusted, runs_folder_of

__all__ = ["admit", "admit_sweep", "own_folders", "require_grid_point"]

_ID_IN_SWEEP = re.compile(r"(.+)-(\d{4,})")


def admit(run: Run, trust: Iterable[str | Path] | None = None) -> tuple[str, ...]:
    """Check that a run may start, and return the trusted folders to hand to the processes that train it.

    Args:
        run: The run.
        trust: Folders that the operator trusts. None: the folders named by the run itself if it carries this
            user's mark, else no folder.

    Raises:
        UntrustedCodeError: The run would import code from an untrusted folder.
        RunStateError: The run belongs to a sweep whose grid asks for other settings.
    """
    require_grid_point(run)
    folders = own_folders(run) if trust is None else tuple(map(str, trust))
    require_trusted(run.settings, folders, runs=runs_folder_of(run.folder))
    return folders


def admit_sweep(sweep: Sweep, trust: Iterable[str | Path] | None = None) -> tuple[str, ...]:
    """Check that all runs of a sweep may start, and return the trusted folders; see `admit`.

    Raises:
        UntrustedCodeError: A run would import code from an untrusted folder.
    """
    folders = own_folders(sweep) if trust is None else tuple(map(str, trust))
    for settings in sweep.settings.runs:
        require_trusted(settings, folders, runs=sweep.runs_folder)
    return folders


def own_folders(asked: Run | Sweep) -> tuple[str, ...]:
    """Return the code folders named by a run or sweep that this user created; empty for other users' runs.

    Relative paths are ignored: the mark does not cover the working directory of this process.
    """
    if not asked.is_own:
        return ()
    settings = (asked.settings,) if isinstance(asked, Run) else asked.settings.runs
    named = (folder for one in settings for item in imports_of(one) for folder in item.folders)
    return tuple(folder for folder in dict.fromkeys(named) if Path(folder).is_absolute())


def require_grid_point(run: Run) -> None:
    """Check that a run whose id belongs to a sweep has the settings of its grid point.

    Raises:
        RunStateError: The settings differ.
    """
    match = _ID_IN_SWEEP.fullmatch(run.id)
    if match is None or run.folder.parent.name == TRASH:
        return
    try:
        sweep = Sweep(run.folder.parent / SWEEPS / match[1])
        problem = sweep.problem_at(int(match[2]), run)
    except NasvizError:
        return  # no such sweep, or an unreadable one: treat the run as independent
    if problem is not None:
        raise RunStateError(problem)
