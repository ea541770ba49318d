"""Files that importing a user's module would run, found without importing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nasviz.errors import InvalidSettingError

__all__ = ["UserModule", "find_module", "resolved"]


@dataclass(frozen=True, slots=True)
class UserModule:
    """A module below one of the folders that it may be imported from."""

    folder: Path
    """Folder that goes on the import path."""
    file: Path
    """File of the module, links resolved."""
    packages: tuple[Path, ...] = ()
    """`__init__.py` of each package above the module, which Python runs first; links resolved."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the import runs, in order."""
        return (*self.packages, self.file)


def resolved(folder: str | Path) -> Path:
    """Return a folder's absolute path without links, `~` included.

    Raises:
        InvalidSettingError: It is no path on this machine.
    """
    try:
        return Path(folder).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # no such user, a loop of links, a null byte
        raise InvalidSettingError(f"{str(folder)[:200]!r} is no folder of this machine: {error}") from error


def find_module(module_name: str, folders: Sequence[str | Path]) -> UserModule:
    """Return where a module lies in the first of `folders` that holds it.

    Raises:
        InvalidSettingError: No folder holds it, or a link leads out of the folder that does.
    """
    parts = module_name.split(".")
    for folder in map(resolved, folders):
        base = folder.joinpath(*parts)
        for file in (base / "__init__.py", base.with_name(base.name + ".py")):
            if not file.is_file():
                continue
            above = (folder.joinpath(*parts[:depth]) / "__init__.py" for depth in range(1, len(parts)))
            packages = tuple(package.resolve() for package in above if package.is_file())
            found = UserModule(folder, file.resolve(), packages)
            for path in found.files:
                if not path.is_relative_to(folder):
                    raise InvalidSettingError(
                        f"{module_name} leads out of the trusted folder {folder}, to {path}; name the folder"
                        " that really holds it"
                    )
            return found
    raise InvalidSettingError(
        f"no module {module_name} in the trusted folders {', '.join(map(str, folders))}; expected"
        f" {'/'.join(parts)}.py in one of them"
    )
