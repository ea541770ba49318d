"""Lookup of the files that importing a user module would execute, without importing it."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from nasviz.errors import InvalidSettingError

__all__ = ["UserModule", "callable_name", "find_module", "import_folder", "is_own_file", "resolved"]

_INSTALLED = {"site-packages", "dist-packages"}
_LIBRARIES = ("lib", "lib64")
_FILE = re.compile(r"(.+)\.py:([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)", re.ASCII)
_VERSION = re.compile(r"python\d+(\.\d+)?t?")


@dataclass(frozen=True, slots=True)
class UserModule:
    """A module in a trusted folder."""

    folder: Path
    """Trusted folder, which is added to the import path."""
    file: Path
    """File of the module, with links resolved."""
    packages: tuple[Path, ...] = ()
    """`__init__.py` of each parent package, which Python executes first, with links resolved."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Files executed by the import, in order."""
        return (*self.packages, self.file)


def resolved(folder: str | Path) -> Path:
    """Return the absolute path of a folder with `~` and links resolved.

    Raises:
        InvalidSettingError: The path is invalid on this machine.
    """
    try:
        return Path(folder).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # unknown user, loop of links, null byte
        raise InvalidSettingError(f"{str(folder)[:200]!r} is not a valid folder: {error}") from error


def is_own_file(file: str | Path, folder: Path) -> bool:
    """Return whether a file is user code in a trusted folder.

    Installed packages and standard libraries are not, even inside the folder: trust in a project does not
    extend to its virtual environment. Neither is code without a file, such as `<frozen os>`.

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


def callable_name(text: str, folders: Sequence[str | Path]) -> str:
    """Return the name `package.module:callable` of `./file.py:callable`; other text is returned as it is.

    Args:
        text: A path is relative to the current folder, or to a trusted one.
        folders: Trusted folders.

    Raises:
        InvalidSettingError: No trusted folder holds the file.

    Examples:
        >>> callable_name("./models/nets.py:Tiny", (Path.cwd(),)), callable_name("resnet18", ())
        ('models.nets:Tiny', 'resnet18')
    """
    named = _FILE.fullmatch(text)
    if named is None:
        return text
    for folder in map(resolved, folders):
        for start in (Path.cwd(), folder):
            file = resolved(start / f"{named[1]}.py")
            if file.is_relative_to(folder) and (file.is_file() or start == folder):
                return f"{'.'.join(file.relative_to(folder).with_suffix('').parts)}:{named[2]}"
    if not folders and not resolved(f"{named[1]}.py").is_file():
        raise InvalidSettingError(f"there is no file {named[1]}.py in {Path.cwd()}, which {text!r} names")
    raise InvalidSettingError(
        f"{text} is Python code outside the trusted folders; add --trust {Path(named[1]).parent}"
    )


def import_folder(text: str) -> Path | None:
    """Return the folder that `./file.py:callable` is imported from: that of the file, or above its packages.

    Returns None for other text, and where there is no such file.
    """
    named = _FILE.fullmatch(text)
    if named is None or not (file := resolved(f"{named[1]}.py")).is_file():
        return None
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def find_module(module_name: str, folders: Sequence[str | Path]) -> UserModule:
    """Return the location of a module in the first of `folders` that contains it.

    Raises:
        InvalidSettingError: No folder contains the module, or a link leads out of the folder.
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
                        f"{module_name} links out of the trusted folder {folder} to {path}; give the folder"
                        " that contains the file"
                    )
            return found
    raise InvalidSettingError(
        f"no module {module_name} in the trusted folders {', '.join(map(str, folders))}; expected"
        f" {'/'.join(parts)}.py in one of them"
    )
