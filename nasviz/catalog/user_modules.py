"""Files that importing a user's module would run, found without importing it."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from nasviz.errors import InvalidSettingError

__all__ = ["UserModule", "find_module", "is_own_file", "resolved"]

_INSTALLED = {"site-packages", "dist-packages"}
_LIBRARIES = ("lib", "lib64")
_VERSION = re.compile(r"python\d+(\.\d+)?t?")


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


def is_own_file(file: str | Path, folder: Path) -> bool:
    """Return whether a file belongs to what lies in a trusted folder.

    Installed packages and the library of any Python do not, even where their folder lies inside: who trusts
    a project's folder does not mean the virtual environment in it. Nor does code without a file of its own,
    such as `<frozen os>`, wherever this process stands.

    Examples:
        >>> is_own_file("/home/me/nets.py", Path("/home/me"))
        True
        >>> is_own_file("/home/me/.venv/lib/python3.12/site-packages/torch/hub.py", Path("/home/me"))
        False
        >>> is_own_file("<frozen os>", Path.cwd())
        False
    """
    path = resolved(file)
    if not Path(file).is_absolute() or not path.is_relative_to(folder):
        return False
    inside = path.relative_to(folder).parts
    if _INSTALLED.intersection(inside) or any(
        above in _LIBRARIES and _VERSION.fullmatch(name) for above, name in pairwise(inside)
    ):
        return False
    library = resolved(sysconfig.get_path("stdlib"))
    return not (library.is_relative_to(folder) and path.is_relative_to(library))


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
                if not is_own_file(path, folder):
                    raise InvalidSettingError(
                        f"{module_name} leads out of the trusted folder {folder}, to {path}; name the folder"
                        " that really holds it"
                    )
            return found
    raise InvalidSettingError(
        f"no module {module_name} in the trusted folders {', '.join(map(str, folders))}; expected"
        f" {'/'.join(parts)}.py in one of them"
    )
