"""User code that settings would import, and whether that is permitted.

A run records the folder that its code was imported from. A copied run can name any folder, so this record is
only a claim. Permission comes from the folders that the operator trusts, and every process that imports user
code checks the settings against them first. Without trusted folders nothing is imported. The runs folder may
contain files of other people, so code inside it is never imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nasviz.catalog import NetworkSource
from nasviz.catalog.user_modules import find_module, is_own_file, resolved
from nasviz.errors import InvalidSettingError, NasvizError, RunStateError, UntrustedCodeError
from nasviz.runs.files import TRASH
from nasviz.runs.run import Run
from nasviz.runs.sweep import SWEEPS, Sweep
from nasviz.settings import RunSettings

__all__ = [
    "UserImport",
    "admit",
    "admit_sweep",
    "imports_of",
    "own_folders",
    "require_grid_point",
    "require_imports",
    "require_trusted",
    "runs_folder_of",
    "runs_folder_warning",
]


@dataclass(frozen=True, slots=True)
class UserImport:
    """Callable from user code that settings refer to."""

    role: str
    """Use of the callable: "network", "data", "loss" or a metric."""
    name: str
    """Name as written in the settings: `package.module:callable`."""
    folders: tuple[str, ...]
    """Folders that the settings name for the import."""

    @property
    def places(self) -> tuple[Path, ...]:
        """Files that importing it would execute; its folders if the module is not found."""
        try:
            return find_module(self.name.partition(":")[0], self.folders).files
        except InvalidSettingError:
            return tuple(map(resolved, self.folders))


def imports_of(asked: NetworkSource | RunSettings) -> tuple[UserImport, ...]:
    """Return all callables from user code that these settings would import.

    Examples:
        >>> imports_of(NetworkSource("demonet"))
        ()
        >>> [(item.role, item.name) for item in imports_of(NetworkSource("nets:small", trust=("/code",)))]
        [('network', 'nets:small')]
    """
    if isinstance(asked, NetworkSource):
        return (UserImport("network", asked.name, asked.trust),) if asked.is_callable else ()
    # A watched loop names the metrics of its script, and no folder to import them from.
    named = asked.own_code if asked.trust else {}
    own = (UserImport(role, name, asked.trust) for role, name in named.items())
    return (*imports_of(asked.network), *own)


def require_trusted(
    asked: NetworkSource | RunSettings, folders: Iterable[str | Path], *, runs: Path | None = None
) -> None:
    """Check that all user code of a network or a run lies in trusted folders.

    Args:
        asked: The network or the settings.
        folders: Trusted folders. Their subfolders are trusted too, except installed packages and Python
            libraries.
        runs: Runs folder, whose content is never trusted.

    Raises:
        UntrustedCodeError: Some code is outside the trusted folders, or inside the runs folder.

    Examples:
        >>> require_trusted(NetworkSource("demonet"), ())
    """
    require_imports(imports_of(asked), folders, runs=runs)


def require_imports(
    imports: Iterable[UserImport], folders: Iterable[str | Path], *, runs: Path | None = None
) -> None:
    """Check that imports are trusted; see `require_trusted`."""
    known = tuple(resolved(folder) for folder in folders)
    never = None if runs is None else resolved(runs)
    for item in imports:
        # Check both folders and files: a link in a trusted folder may point into the runs folder.
        for place in (*item.places, *map(resolved, item.folders)):
            if never is not None and place.is_relative_to(never):
                raise UntrustedCodeError(
                    f"the {item.role} {item.name} would run Python code from {place}, inside the runs folder"
                    f" {never}, which is never trusted because runs may be copied from elsewhere; move your"
                    " code out of it"
                )
            if not any(is_own_file(place, folder) for folder in known):
                raise UntrustedCodeError(
                    f"the {item.role} {item.name} would run Python code from {place}, which is not trusted;"
                    f" if you trust it, name its folder: `-- --trust DIR` when starting the app, --trust DIR"
                    " on the command line, trust=(DIR,) in Python"
                )


def runs_folder_of(folder: Path) -> Path:
    """Return the runs folder that contains the folder of a run, which may be deleted."""
    return folder.parent.parent if folder.parent.name == TRASH else folder.parent


def runs_folder_warning(folders: Iterable[str | Path], runs: Path) -> str | None:
    """Return a warning if the runs folder lies inside a trusted folder, else None.

    Examples:
        >>> runs_folder_warning(("/home/me/code",), Path("/home/me/runs")) is None
        True
    """
    place = resolved(runs)
    around = [str(folder) for folder in map(resolved, folders) if place.is_relative_to(folder)]
    if not around:
        return None
    return (
        f"the runs folder {place} lies inside the trusted folder {around[0]}: code inside the runs folder is"
        " still refused"
    )


_ID_IN_SWEEP = re.compile(r"(.+)-(\d{4,})")


def admit(run: Run, trust: Iterable[str | Path] | None = None) -> tuple[str, ...]:
    """Check that a run may start, and return the trusted folders to hand to the processes that train it.

    Args:
        run: The run.
        trust: Folders that the operator trusts. None: the folders named by the run itself if it carries this
            user's mark, else no folder.

    Raises:
        UntrustedCodeError: The run would import code from an untrusted folder.
        RunStateError: The run belongs to a sweep whose grid asks for other settings, or records a loop of
            the user.
    """
    if run.settings.is_watched:
        raise RunStateError(
            f"run {run.id} records a training loop of the user: resume that loop, with"
            f" nasviz.watch(run={run.id!r})"
        )
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
