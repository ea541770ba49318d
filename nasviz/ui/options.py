"""Options of the app: `nasviz app --runs DIR`, or `streamlit run app.py -- --runs DIR`."""

from __future__ import annotations

import argparse
import os
import re
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from nasviz.catalog import CALLABLE
from nasviz.catalog.user_modules import find_module
from nasviz.errors import InvalidSettingError
from nasviz.extensions import load_extensions, take_option
from nasviz.runs.trust import runs_folder_warning
from nasviz.settings.server import SERVER

__all__ = ["HOST", "Options", "options", "parse"]

HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?")
"""A host as browsers write it in the Host header: a name, an IPv4 address, or an IPv6 address in brackets."""
SHORTEST_TOKEN = 16


@dataclass(frozen=True, slots=True)
class Options:
    """Options of this server, set by the operator."""

    runs: Path
    """Folder of the runs, created with the first run."""
    trust: tuple[str, ...] = ()
    """Folders from which Python may be imported after consent in the app."""
    open: tuple[str, ...] = ()
    """Callables in those folders that may be imported without consent."""
    hosts: tuple[str, ...] = ()
    """Host names of this server, in addition to the local ones."""
    token: str | None = field(default=None, repr=False)
    """Secret required in the address of the first request of a browser; None: no token."""
    is_behind_proxy: bool = False
    """Whether a proxy in front of this server authenticates users."""

    @property
    def uploads(self) -> Path:
        """Folder of uploaded weights."""
        return self.runs / ".uploads"


class _Parser(argparse.ArgumentParser):
    """Raise an error where argparse would end the process."""

    def error(self, message: str) -> NoReturn:
        raise InvalidSettingError(f"{message}; {self.format_usage().strip()}")


def parse(arguments: Sequence[str]) -> Options:
    """Parse the arguments after `--`.

    Raises:
        InvalidSettingError: An option is unknown or malformed, a trusted folder does not exist, or a
            callable is not in a trusted folder.

    Examples:
        >>> parse(["--runs", "/tmp/runs", "--trust", "/tmp"]).trust
        ('/tmp',)
        >>> parse(["--host", "Nasviz.Example.org"]).hosts
        ('nasviz.example.org',)
    """
    parser = _Parser("streamlit run app.py --", add_help=False, allow_abbrev=False)
    for option in SERVER.values():
        kinds: dict[str, dict[str, Any]] = {
            "names": {"action": "append", "default": []},
            "bool": {"action": "store_true"},
        }
        flag = f"--{option.name.replace('_', '-')}"
        parser.add_argument(flag, **kinds.get(option.kind, {"default": option.default}))
    parser.set_defaults(runs=os.environ.get("NASVIZ_RUNS", SERVER["runs"].default))
    found = parser.parse_args(arguments)
    trust = [Path(folder).expanduser().resolve() for folder in found.trust]
    if missing := [str(folder) for folder in trust if not folder.is_dir()]:
        raise InvalidSettingError(f"--trust: no such folder: {', '.join(missing)}; give an existing folder")
    return Options(
        Path(found.runs).expanduser().resolve(),
        tuple(map(str, trust)),
        tuple(_callable(name, trust) for name in found.open),
        tuple(map(_host, found.host)),
        _token(found.token),
        found.behind_proxy,
    )


def _callable(name: str, trust: Sequence[Path]) -> str:
    if not CALLABLE.fullmatch(name):
        raise InvalidSettingError(
            f"--open {name[:80]!r} is not a callable; expected package.module:callable, e.g. nets:MyNet"
        )
    if not trust:
        raise InvalidSettingError(f"--open {name} requires its folder: add --trust DIR")
    find_module(name.partition(":")[0], trust)
    return name


def _host(name: str) -> str:
    if not HOST.fullmatch(name):
        raise InvalidSettingError(
            f"--host {name[:80]!r} is not a host name; give it without scheme, port and path, e.g."
            " nasviz.example.org, 192.0.2.7 or [2001:db8::7]"
        )
    return name.lower()


def _token(text: str | None) -> str | None:
    if text is None:
        return None
    if text == "auto":
        return secrets.token_urlsafe(32)
    if len(text) < SHORTEST_TOKEN or not re.fullmatch(r"[A-Za-z0-9._~-]+", text):
        raise InvalidSettingError(
            f"--token must be 'auto' or at least {SHORTEST_TOKEN} letters, digits and any of . _ ~ -;"
            f" got {len(text)} characters"
        )
    return text


@lru_cache(maxsize=1)
def options() -> Options:
    """Load the extensions of this server and return its other options.

    Warns if the folder of runs is inside a trusted folder.
    """
    found = parse(take_option(sys.argv[1:]))
    load_extensions()
    if (words := runs_folder_warning(found.trust, found.runs)) is not None:
        print(f"nasviz: {words}", file=sys.stderr, flush=True)  # noqa: T201 (to the operator's terminal)
    return found
