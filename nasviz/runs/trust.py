"""Which user code settings would import, and whether it may be imported.

A run records the folder that its code was imported from. A copied run can name any folder, so this record is
a claim, never a permission: permission comes from the folders that the operator named, and every process that
imports user code checks the settings that it is about to follow against them. Without named folders nothing
is imported. The runs folder holds what other people wrote, so no code inside it is ever imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nasviz.catalog import NetworkSource
from nasviz.catalog.user_modules import find_module, is_own_file, resolved
from nasviz.errors import InvalidSettingError, UntrustedCodeError
from nasviz.runs.files import TRASH
from nasviz.settings import RunSettings

__all__ = ["UserImport", "home_of", "imports_of", "require_imports", "require_trusted", "warn_of_runs_inside"]


@dataclass(frozen=True, slots=True)
class UserImport:
    """One callable of the user's own Python that settings name."""

    role: str
    """What it is used as: "network", "data" or "loss"."""
    name: str
    """As written in the settings: package.module:callable."""
    folders: tuple[str, ...]
    """Folders that the settings name for it."""

    @property
    def places(self) -> tuple[Path, ...]:
        """Files that importing it would run; its folders where the module is not there."""
        try:
            return find_module(self.name.partition(":")[0], self.folders).files
        except InvalidSettingError:
            return tuple(map(resolved, self.folders))


def imports_of(asked: NetworkSource | RunSettings) -> tuple[UserImport, ...]:
    """Return every callable of the user's own Python that following these settings would import.

    Examples:
        >>> imports_of(NetworkSource("demonet"))
        ()
        >>> [(item.role, item.name) for item in imports_of(NetworkSource("nets:small", trust=("/code",)))]
        [('network', 'nets:small')]
    """
    if isinstance(asked, NetworkSource):
        return (UserImport("network", asked.name, asked.trust),) if asked.is_callable else ()
    named = (("data", asked.data), ("loss", asked.loss))
    own = (UserImport(role, name, asked.trust) for role, name in named if ":" in name)
    return (*imports_of(asked.network), *own)


def require_trusted(
    asked: NetworkSource | RunSettings, folders: Iterable[str | Path], *, runs: Path | None = None
) -> None:
    """Check that all user code of a network, or of a run, lies in trusted folders.

    Args:
        asked: The network or the settings.
        folders: Folders that the operator named; what lies below them is trusted too, but for installed
            packages and libraries of Python.
        runs: Runs folder, whose content is never trusted.

    Raises:
        UntrustedCodeError: Some of it lies elsewhere, or inside the runs folder.

    Examples:
        >>> require_trusted(NetworkSource("demonet"), ())
    """
    require_imports(imports_of(asked), folders, runs=runs)


def require_imports(
    imports: Iterable[UserImport], folders: Iterable[str | Path], *, runs: Path | None = None
) -> None:
    """Check single imports; see `require_trusted`."""
    known = tuple(resolved(folder) for folder in folders)
    never = None if runs is None else resolved(runs)
    for item in imports:
        # Both the folder and the files: a link inside a trusted folder may lead into the runs folder.
        for place in (*item.places, *map(resolved, item.folders)):
            if never is not None and place.is_relative_to(never):
                raise UntrustedCodeError(
                    f"the {item.role} {item.name} would run Python from {place}, inside the runs folder"
                    f" {never}: code there is never trusted, as runs are copied from elsewhere; move your own"
                    " code out of it"
                )
            if not any(is_own_file(place, folder) for folder in known):
                raise UntrustedCodeError(
                    f"the {item.role} {item.name} would run Python from {place}, which is not trusted here;"
                    f" if you trust it, name its folder: `-- --trust DIR` when the app is started, --trust"
                    " DIR on the command line, trust=(DIR,) in Python"
                )


def home_of(folder: Path) -> Path:
    """Return the runs folder that a run's folder, also a deleted run's, lies in."""
    return folder.parent.parent if folder.parent.name == TRASH else folder.parent


def warn_of_runs_inside(folders: Iterable[str | Path], runs: Path) -> str | None:
    """Return a warning where the runs folder lies inside a trusted folder; None where it does not.

    Examples:
        >>> warn_of_runs_inside(("/home/me/code",), Path("/home/me/runs")) is None
        True
    """
    place = resolved(runs)
    around = [str(folder) for folder in map(resolved, folders) if place.is_relative_to(folder)]
    if not around:
        return None
    return (
        f"the runs folder {place} lies inside the trusted folder {around[0]}: code inside the runs folder is"
        " refused all the same"
    )
