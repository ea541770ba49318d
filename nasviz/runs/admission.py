"""Whether a run may start, asked by every process that would follow its settings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from nasviz.errors import NasvizError, RunStateError
from nasviz.runs.files import TRASH
from nasviz.runs.run import Run
from nasviz.runs.sweep import SWEEPS, Sweep
from nasviz.runs.trust import home_of, imports_of, require_trusted

__all__ = ["admit", "admit_sweep", "own_folders", "require_grid_point"]

_OF_SWEEP = re.compile(r"(.+)-(\d{4,})")


def admit(run: Run, trust: Iterable[str | Path] | None = None) -> tuple[str, ...]:
    """Check that a run may start, and return the trusted folders to hand to the processes that train it.

    Args:
        run: The run.
        trust: Folders that the operator named. None: those that the run names itself, where it carries this
            user's mark; no folder where it does not.

    Raises:
        UntrustedCodeError: It would import code from elsewhere.
        RunStateError: It belongs to a sweep whose grid asks for other settings.
    """
    require_grid_point(run)
    folders = own_folders(run) if trust is None else tuple(map(str, trust))
    require_trusted(run.settings, folders, runs=home_of(run.folder))
    return folders


def admit_sweep(sweep: Sweep, trust: Iterable[str | Path] | None = None) -> tuple[str, ...]:
    """Check that all runs of a sweep's grid may start; otherwise as `admit`.

    Raises:
        UntrustedCodeError: One would import code from elsewhere.
    """
    folders = own_folders(sweep) if trust is None else tuple(map(str, trust))
    for settings in sweep.settings.runs:
        require_trusted(settings, folders, runs=sweep.runs_folder)
    return folders


def own_folders(asked: Run | Sweep) -> tuple[str, ...]:
    """Return the folders that a run or sweep of this user names for its code; none for anybody else's.

    A relative path names no folder: its mark says nothing of where this process stands.
    """
    if not asked.is_own:
        return ()
    settings = (asked.settings,) if isinstance(asked, Run) else asked.settings.runs
    named = (folder for one in settings for item in imports_of(one) for folder in item.folders)
    return tuple(folder for folder in dict.fromkeys(named) if Path(folder).is_absolute())


def require_grid_point(run: Run) -> None:
    """Check that a run whose id names a place in a sweep has the settings of that place.

    Raises:
        RunStateError: It has others.
    """
    match = _OF_SWEEP.fullmatch(run.id)
    if match is None or run.folder.parent.name == TRASH:
        return
    try:
        sweep = Sweep(run.folder.parent / SWEEPS / match[1])
        problem = sweep.problem_at(int(match[2]), run)
    except NasvizError:
        return  # no such sweep, or one that cannot be read: the run stands for itself
    if problem is not None:
        raise RunStateError(problem)
