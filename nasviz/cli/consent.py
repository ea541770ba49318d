"""Consent to a run that this user may not have made, before it imports Python."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from nasviz.cli.text import plain, typed
from nasviz.errors import UntrustedCodeError
from nasviz.runs import Run, RunSettings, Sweep, UserImport, imports_of, own_folders, require_trusted
from nasviz.runs.trust import runs_folder_of, runs_folder_warning

__all__ = ["consent", "require_typed", "trusted"]


def trusted(folders: Iterable[Path]) -> tuple[str, ...]:
    """Return folders that were named with `--trust`, as absolute paths."""
    return tuple(str(folder.expanduser().resolve()) for folder in folders)


def require_typed(settings: Iterable[RunSettings], folders: tuple[str, ...], runs: Path) -> None:
    """Check that new runs import code only from trusted folders.

    Raises:
        UntrustedCodeError: They import other code, which can only come from a file of settings.
    """
    _warn(folders, runs)
    for one in settings:
        require_trusted(one, folders, runs=runs)


def consent(asked: Run | Sweep, trust: Iterable[Path]) -> tuple[str, ...]:
    """Return the folders that a run or sweep may import from, after asking where this user has not made it.

    Args:
        asked: The run or sweep.
        trust: Folders that were named with `--trust`.

    Raises:
        UntrustedCodeError: Its code is in none of the named folders, the answer was no, or there is no
            terminal to ask at.
    """
    settings = _settings_of(asked)
    runs = runs_folder_of(asked.folder) if isinstance(asked, Run) else asked.runs_folder
    imports = tuple(dict.fromkeys(item for one in settings for item in imports_of(one)))
    named = trusted(trust)
    _warn(named, runs)
    if not imports:
        return named
    folders = (*named, *own_folders(asked)) or _asked(asked, imports, runs)
    for one in settings:
        require_trusted(one, folders, runs=runs)
    return folders


def _settings_of(asked: Run | Sweep) -> tuple[RunSettings, ...]:
    return (asked.settings,) if isinstance(asked, Run) else asked.settings.runs


def _asked(asked: Run | Sweep, imports: tuple[UserImport, ...], runs: Path) -> tuple[str, ...]:
    """Return the folders that the settings name, if the person at the terminal agrees."""
    kind = "run" if isinstance(asked, Run) else "sweep"
    named = tuple(dict.fromkeys(folder for item in imports for folder in item.folders))
    # Code inside the runs folder is refused whatever the answer, so there is nothing to ask.
    for settings in _settings_of(asked):
        require_trusted(settings, named, runs=runs)
    lines = [f"{kind} {asked.id} was not made here by you, or was changed since. It imports and runs Python:"]
    for item in imports:
        lines += [f"  {item.role} {item.name} from {place}" for place in item.places]
    if isinstance(asked, Run) and asked.settings.network.is_callable:
        values = dict(asked.settings.network.settings)
        lines += [f"  called with {values}"] if values else []
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        options = (word for folder in named for word in ("--trust", folder))
        again = shlex.join(["nasviz", *typed.get(), *options])
        raise UntrustedCodeError(
            "; ".join(map(str.strip, lines)) + f"; if you trust that code, type: {again}"
        )
    sys.stderr.write("\n".join(map(plain, lines)) + "\nRun this code with your rights? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UntrustedCodeError(f"{kind} {asked.id} was not started: you did not agree to its code")
    return named


@lru_cache
def _warn(folders: tuple[str, ...], runs: Path) -> None:
    if (words := runs_folder_warning(folders, runs)) is not None:
        sys.stderr.write(f"nasviz: {plain(words)}\n")
