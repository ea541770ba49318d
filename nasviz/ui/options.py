"""What the operator says when the app is started: `streamlit run app.py -- --runs DIR --trust DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

from nasviz.errors import InvalidSettingError
from nasviz.runs.trust import warn_of_runs_inside

__all__ = ["Options", "options", "parse"]


@dataclass(frozen=True, slots=True)
class Options:
    """Places on the operator's machine."""

    runs: Path
    """Holds the runs; made when the first one is created."""
    trust: tuple[str, ...] = ()
    """Folders from which networks may be loaded as Python."""

    @property
    def uploads(self) -> Path:
        """Holds the weights that people upload."""
        return self.runs / ".uploads"


class _Parser(argparse.ArgumentParser):
    """Raises where argparse would end the server."""

    def error(self, message: str) -> NoReturn:
        raise InvalidSettingError(f"{message}; {self.format_usage().strip()}")


def parse(arguments: Sequence[str]) -> Options:
    """Read the arguments behind `--`.

    Raises:
        InvalidSettingError: One is unknown, or a folder to trust is not there.

    Examples:
        >>> parse(["--runs", "/tmp/runs", "--trust", "/tmp"]).trust
        ('/tmp',)
    """
    parser = _Parser("streamlit run app.py --", add_help=False)
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of the runs")
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="DIR",
        help="folder from which networks may be loaded as Python code; may be given several times",
    )
    found = parser.parse_args(arguments)
    trust = [Path(folder).expanduser().resolve() for folder in found.trust]
    if lost := [str(folder) for folder in trust if not folder.is_dir()]:
        raise InvalidSettingError(f"--trust names {', '.join(lost)}: no such folder; name one that exists")
    return Options(found.runs.expanduser().resolve(), tuple(str(folder) for folder in trust))


@lru_cache(maxsize=1)
def options() -> Options:
    """The options of this server; warns once where the runs folder lies inside a trusted folder."""
    found = parse(sys.argv[1:])
    if (words := warn_of_runs_inside(found.trust, found.runs)) is not None:
        print(f"nasviz: {words}", file=sys.stderr, flush=True)  # noqa: T201 (to the operator's terminal)
    return found
