"""Whose Python the worker processes of this process may import.

In a server: only code in folders that its operator named at the start (`trust_only`). In a script or on the
command line there is no such limit: a network that is passed as an object was named by the author of the
script. A run folder is followed only if it carries this user's mark (see `nasviz.runs.marks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasviz.catalog import NetworkSource
from nasviz.jobs.protocol import Trusted
from nasviz.jobs.tasks import Request
from nasviz.runs import Run, RunSettings, Sweep, UserImport, imports_of, own_folders
from nasviz.runs.trust import require_imports, runs_folder_of

__all__ = ["Consent", "allow", "folders_for", "require_allowed", "require_trusted", "trust_only"]

Consent = Callable[[NetworkSource | UserImport], None]
"""Raises ConsentNeededError unless a network, or the data or loss of a run, has been approved."""


@dataclass(frozen=True, slots=True)
class _Policy:
    folders: tuple[str, ...]
    runs: Path | None
    consent: Consent | None = None


_policy: _Policy | None = None


def trust_only(
    folders: Iterable[str | Path] | None, runs: Path | None = None, consent: Consent | None = None
) -> None:
    """Restrict the user code that this process may start to these folders.

    Args:
        folders: Folders named by the operator; None lifts the limit.
        runs: Runs folder of the server, whose content is never trusted.
        consent: Called before a task with a network, or with the data or loss of a run, starts. None if the
            folders alone decide.
    """
    global _policy
    _policy = None if folders is None else _Policy(tuple(map(str, folders)), runs, consent)


def require_trusted(asked: NetworkSource | RunSettings) -> None:
    """Check that this process may start tasks with the user code of a network or of a run's settings.

    Raises:
        UntrustedCodeError: It lies in a folder that the operator did not name.
        ConsentNeededError: It has not been approved yet.

    Examples:
        >>> require_trusted(NetworkSource("demonet"))
    """
    _require((asked,))


def folders_for(asked: Run | Sweep, trust: Iterable[str | Path] | None = None) -> tuple[str, ...]:
    """Return the folders from which the processes of a run or sweep may import.

    Args:
        asked: The run or sweep.
        trust: Named for this start. None: those of this process; in a process without a limit those that the
            run names itself, if it carries this user's mark.

    Raises:
        UntrustedCodeError: This process may not start its code.
        ConsentNeededError: It has not been approved yet.
    """
    if _policy is not None:
        _require((asked.settings,) if isinstance(asked, Run) else asked.settings.runs)
    if trust is not None:
        return tuple(map(str, trust))
    return own_folders(asked) if _policy is None else _policy.folders


def allow(request: Request[Any], trust: Iterable[str | Path] | None = None) -> Trusted | None:
    """Check everything that a task would import; return what its worker may import, or None for nothing.

    Args:
        request: The task.
        trust: Named for a run in it; see `folders_for`.

    Raises:
        UntrustedCodeError: The task would import code that is not trusted.
        ConsentNeededError: The import, or a task of that size, has not been approved yet.
    """
    imports, run = _imports(request), request.imported_run()
    networks = _networks(request)
    if run is not None and (network := Run(run).settings.network).is_callable:
        networks += (network,)
    _require_consent(networks, imports)
    if not imports:
        return None
    folders: tuple[str, ...]
    if _policy is not None:
        folders = _policy.folders
    elif run is not None:
        folders = folders_for(Run(run), trust)
    else:
        folders = tuple(folder for item in imports for folder in item.folders)
    runs = _policy.runs if _policy is not None else None
    trusted = Trusted(folders, None if runs is None else str(runs))
    require_allowed(request, trusted)
    return trusted


def _require(asked: Iterable[NetworkSource | RunSettings]) -> None:
    for one in asked:
        # The size of a run's network was seen by the person who starts it: only its code needs consent.
        network = one if isinstance(one, NetworkSource) else one.network
        is_asked = isinstance(one, NetworkSource) or network.is_callable
        _require_consent((network,) if is_asked else (), imports_of(one))


def _require_consent(networks: Iterable[NetworkSource], imports: Iterable[UserImport]) -> None:
    """Check trust, then consent: a person is not asked about what could not run anyway."""
    if _policy is None:
        return
    imports = tuple(imports)
    require_imports(imports, _policy.folders, runs=_policy.runs)
    if _policy.consent is not None:
        for network in networks:
            _policy.consent(network)
        for item in imports:
            if item.role != "network":
                _policy.consent(item)


def require_allowed(request: Request[Any], trusted: Trusted) -> None:
    """Check, in the process that imports, that a task names only trusted code.

    Raises:
        UntrustedCodeError: It names other code; without trusted folders it may name none.
    """
    run = request.imported_run()
    places = [
        None if trusted.runs is None else Path(trusted.runs),
        None if run is None else runs_folder_of(run),
    ]
    imports = _imports(request)
    for place in dict.fromkeys((None, *places)):
        require_imports(imports, trusted.folders, runs=place)


def _networks(request: Request[Any]) -> tuple[NetworkSource, ...]:
    return tuple(value for _, value in request if isinstance(value, NetworkSource))


def _imports(request: Request[Any]) -> tuple[UserImport, ...]:
    """Return every callable that a task imports: its networks, its data, and what its run names."""
    found = [item for network in _networks(request) for item in imports_of(network)]
    if (run := request.imported_run()) is not None:
        found += imports_of(Run(run).settings)
    if (data := request.imported_data()) is not None:
        found.append(data)
    return tuple(found)
