"""Asking before a run that somebody else may have made imports Python."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from nasviz.commands.text import plain
from nasviz.errors import UntrustedCodeError
from nasviz.runs import Run, RunSettings, Sweep, UserImport, imports_of, own_folders, require_trusted
from nasviz.runs.trust import home_of, warn_of_runs_inside

__all__ = ["add_trust", "consent", "require_typed", "typed_folders"]


def add_trust(parser: argparse.ArgumentParser, words: str = "folder to import your own Python from") -> None:
    """Add the option that names trusted folders."""
    # A sub-command adds to what was typed before its name; a default would take its place.
    parser.add_argument("--trust", action="append", default=argparse.SUPPRESS, metavar="DIR", help=words)


def typed_folders(args: argparse.Namespace) -> tuple[str, ...]:
    """Return the folders that were named with `--trust`, as absolute paths."""
    return tuple(str(Path(folder).expanduser().resolve()) for folder in getattr(args, "trust", ()))


def require_typed(settings: Iterable[RunSettings], args: argparse.Namespace) -> tuple[str, ...]:
    """Check that new runs import code only from what was named with `--trust`, and return those folders.

    Raises:
        UntrustedCodeError: They import other code, which can only come from a file of settings.
    """
    folders = typed_folders(args)
    _warn(folders, args.runs)
    for one in settings:
        require_trusted(one, folders, runs=args.runs)
    return folders


def consent(asked: Run | Sweep, args: argparse.Namespace) -> tuple[str, ...]:
    """Return the folders that a run or sweep may import from, after asking where it is not this user's own.

    Args:
        asked: The run or sweep.
        args: The arguments of the command, with `typed`: all words behind `nasviz`.

    Raises:
        UntrustedCodeError: Its code is in none of the named folders, the answer was no, or nobody can answer.
    """
    settings = (asked.settings,) if isinstance(asked, Run) else asked.settings.runs
    runs = home_of(asked.folder) if isinstance(asked, Run) else asked.runs_folder
    imports = tuple(dict.fromkeys(item for one in settings for item in imports_of(one)))
    typed = typed_folders(args)
    _warn(typed, runs)
    if not imports:
        return typed
    folders = (*typed, *own_folders(asked))
    if not folders:
        folders = _asked(asked, imports, runs, args.typed)
    for one in settings:
        require_trusted(one, folders, runs=runs)
    return folders


def _asked(
    asked: Run | Sweep, imports: tuple[UserImport, ...], runs: Path, typed: Sequence[str]
) -> tuple[str, ...]:
    """Return the folders that the settings name, if the person at the terminal agrees."""
    kind = "run" if isinstance(asked, Run) else "sweep"
    named = tuple(dict.fromkeys(folder for item in imports for folder in item.folders))
    # What lies inside the runs folder is refused whatever the answer, so nobody is asked about it.
    for settings in (asked.settings,) if isinstance(asked, Run) else asked.settings.runs:
        require_trusted(settings, named, runs=runs)
    lines = [f"{kind} {asked.id} was not made here by you, or was changed since. It imports and runs Python:"]
    for item in imports:
        lines += [f"  {item.role} {item.name} from {place}" for place in item.places]
    if isinstance(asked, Run) and asked.settings.network.is_callable:
        values = dict(asked.settings.network.settings)
        lines += [f"  called with {values}"] if values else []
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        options = (word for folder in named for word in ("--trust", folder))
        again = shlex.join(["nasviz", *typed, *options])
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
    if (words := warn_of_runs_inside(folders, runs)) is not None:
        sys.stderr.write(f"nasviz: {plain(words)}\n")
