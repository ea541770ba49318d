"""Whose Python the children and workers of this process may import.

In a server, only code in folders that its operator named at the start. In a script or on the command line
nobody calls `trust_only`: a network that is handed over as an object was named by the person who wrote that,
and of a run folder only what this user has marked is followed (see `nasviz.runs.marks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasviz.catalog import NetworkSource
from nasviz.runs import Run, RunSettings, Sweep, UserImport, imports_of, own_folders
from nasviz.runs.trust import home_of, require_imports

__all__ = ["TRUSTED", "Consent", "allow", "folders_for", "require_allowed", "require_trusted", "trust_only"]

TRUSTED = "trusted"
"""Argument of a request to a child: what it may import, as `allow` writes it."""


Consent = Callable[[NetworkSource | UserImport], None]
"""Raise ConsentNeededError where nobody has agreed to a network, or to the data or loss of a run."""


@dataclass(frozen=True, slots=True)
class _Policy:
    folders: tuple[str, ...]
    runs: Path | None
    consent: Consent | None = None


_policy: _Policy | None = None


def trust_only(
    folders: Iterable[str | Path] | None, runs: Path | None = None, consent: Consent | None = None
) -> None:
    """From here on, let this process start work with user code of these folders alone.

    Args:
        folders: Those that the operator named; None lifts the limit.
        runs: Runs folder of the server, whose content is never trusted.
        consent: Asked before work with a network, or with the data or loss of a run, begins; None where
            the folders alone decide.
    """
    global _policy
    _policy = None if folders is None else _Policy(tuple(map(str, folders)), runs, consent)


def require_trusted(asked: NetworkSource | RunSettings) -> None:
    """Check that this process may start work with the user code of a network, or of a run's settings.

    Raises:
        UntrustedCodeError: It lies in a folder that the operator did not name.
        ConsentNeededError: Nobody has agreed to it yet.

    Examples:
        >>> require_trusted(NetworkSource("demonet"))
    """
    _require((asked,))


def folders_for(asked: Run | Sweep, trust: Iterable[str | Path] | None = None) -> tuple[str, ...]:
    """Return the folders from which the processes of a run or sweep may import.

    Args:
        asked: The run or sweep.
        trust: Named for this start; None: those of this process, and in a process without a limit those that
            the run names itself, where it carries this user's mark.

    Raises:
        UntrustedCodeError: This process may not start work with its code.
        ConsentNeededError: Nobody has agreed to it yet.
    """
    if _policy is not None:
        _require((asked.settings,) if isinstance(asked, Run) else asked.settings.runs)
    if trust is not None:
        return tuple(map(str, trust))
    return own_folders(asked) if _policy is None else _policy.folders


def allow(arguments: Mapping[str, Any], trust: Iterable[str | Path] | None = None) -> dict[str, Any] | None:
    """Check everything that a request would import, and return what its child may import; None for nothing.

    Args:
        arguments: Of the request.
        trust: Named for a run in it; see `folders_for`.

    Raises:
        UntrustedCodeError: It would import code that is not trusted.
        ConsentNeededError: Nobody has agreed yet to import that, or to work of that size.
    """
    imports = _imports(arguments)
    networks = [NetworkSource.from_json(arguments["source"])] if "source" in arguments else []
    if "run" in arguments and (network := Run(Path(arguments["run"])).settings.network).is_callable:
        networks.append(network)
    _require_consent(networks, imports)
    if not imports:
        return None
    runs = _policy.runs if _policy is not None else None
    if _policy is not None:
        folders = _policy.folders
    elif "run" in arguments:
        folders = folders_for(Run(Path(arguments["run"])), trust)
    else:
        folders = tuple(folder for item in imports for folder in item.folders)
    found = {"folders": list(folders), "runs": None if runs is None else str(runs)}
    require_allowed(dict(arguments) | {TRUSTED: found})
    return found


def _require(asked: Iterable[NetworkSource | RunSettings]) -> None:
    for one in asked:
        # Of a run only code is asked about: its size was seen by the person who starts it.
        network = one if isinstance(one, NetworkSource) else one.network
        is_asked = isinstance(one, NetworkSource) or network.is_callable
        _require_consent((network,) if is_asked else (), imports_of(one))


def _require_consent(networks: Iterable[NetworkSource], imports: Iterable[UserImport]) -> None:
    """Check trust, then consent: nobody is asked about what could not run anyway."""
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


def require_allowed(arguments: Mapping[str, Any]) -> None:
    """Check, in the process that imports, that a request names code of the folders in `TRUSTED` alone.

    Raises:
        UntrustedCodeError: It names other code. A request that names no folders may import none.
    """
    trusted = arguments.get(TRUSTED) or {}
    runs = [Path(trusted["runs"])] if trusted.get("runs") else []
    runs += [home_of(Path(arguments["run"]))] if "run" in arguments else []
    imports = _imports(arguments)
    for place in (None, *runs):
        require_imports(imports, trusted.get("folders", ()), runs=place)


def _imports(arguments: Mapping[str, Any]) -> tuple[UserImport, ...]:
    """Every callable that a request names: of its network, its data, its loss and its run."""
    found: list[UserImport] = []
    if "source" in arguments:
        found += imports_of(NetworkSource.from_json(arguments["source"]))
    if "run" in arguments:
        found += imports_of(Run(Path(arguments["run"])).settings)
    # Tasks that can import data or a loss say where from; to the others the name of the data is only a name.
    for role in ("data", "loss"):
        name = arguments.get(role)
        if "trust" in arguments and isinstance(name, str) and ":" in name:
            found.append(UserImport(role, name, tuple(arguments["trust"])))
    return tuple(found)
