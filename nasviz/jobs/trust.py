"""Whose Python may run: in a server, only what lies in folders that its operator has named.

A run keeps the folder that its network was imported from. Somebody else's run, copied among one's own, would
name a folder of their choice; a server that obeyed it would run their code at the first click.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nasviz.catalog import NetworkSource
from nasviz.errors import InvalidSettingError
from nasviz.runs import RunSettings

__all__ = ["require_trusted", "trust_only"]

_named: tuple[Path, ...] | None = None
"""None in a process that a person has started by hand: what a source names, that person has named."""


def trust_only(folders: Iterable[str | Path] | None) -> None:
    """From here on, let this process start work with user Python of these folders alone.

    Args:
        folders: Those that the operator has named; None lifts the limit.
    """
    global _named
    _named = None if folders is None else tuple(Path(folder).expanduser().resolve() for folder in folders)


def require_trusted(asked: NetworkSource | RunSettings) -> None:
    """Check that the code of a network, or the network, data and loss of a run, may run where it is any.

    Raises:
        InvalidSettingError: It lies in a folder that nobody has named.

    Examples:
        >>> require_trusted(NetworkSource("demonet"))
    """
    if isinstance(asked, NetworkSource):
        if asked.is_callable:
            _require(asked.name, asked.trust)
        return
    require_trusted(asked.network)
    for name in (asked.data, asked.loss):
        if name is not None and ":" in name:
            _require(name, asked.trust)


def _require(name: str, folders: Iterable[str]) -> None:
    if _named is None:
        return
    meant = [Path(folder).expanduser().resolve() for folder in folders]
    strange = [folder for folder in meant if not any(folder.is_relative_to(known) for known in _named)]
    if strange:
        raise InvalidSettingError(
            f"{name} would run Python from {', '.join(map(str, strange))}, which this app was not started to"
            f" trust; if you do, start it again with -- --trust {strange[0]}"
        )
