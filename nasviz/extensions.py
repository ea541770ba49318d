"""Extensions: modules of other packages that register networks, data sets, methods, saliencies or operators.

The operator chooses them: packages that are installed with an entry point in one of `GROUPS`, and modules or
files that are named with `--extension` or in the environment variable `NASVIZ_EXTENSIONS`. Nothing else is
ever imported as an extension: no address, run folder or upload can name one. The variable is inherited by
every process that this one starts, so workers know what the server knows.

The server has no torch, so an extension imports torch inside the functions that it registers. A module with
operators of `torch.library` cannot: its entry point is loaded only in processes that trace or load networks.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterable
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path

from nasviz.errors import InvalidSettingError, NasvizWarning

__all__ = ["GROUPS", "load_extension", "load_extensions", "take_option"]

OPERATORS = "nasviz.operators"
GROUPS = ("nasviz.networks", "nasviz.datasets", "nasviz.methods", "nasviz.saliencies", OPERATORS)
VARIABLE = "NASVIZ_EXTENSIONS"
OPTION = "--extension"

_loaded: set[str] = set()


def load_extensions(*, operators: bool = False) -> None:
    """Load every installed extension, and those that `NASVIZ_EXTENSIONS` names; each once per process.

    An installed package that cannot be loaded is a warning, because the operator did not name it here.

    Args:
        operators: Whether to load the entry points of operators, too, which import torch.

    Raises:
        InvalidSettingError: An extension that the operator named cannot be loaded.
    """
    for name in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        load_extension(name)
    groups = [group for group in GROUPS if group not in _loaded and (operators or group != OPERATORS)]
    _loaded.update(groups)
    installed = entry_points() if groups else EntryPoints()  # reads the metadata of every installed package
    for group in groups:
        for point in installed.select(group=group):
            try:
                point.load()
            except Exception as error:  # code of another package may raise anything
                words = f"{type(error).__name__}: {error}"
                warnings.warn(
                    f"the extension {point.value} ({group}) cannot be loaded: {words}",
                    NasvizWarning,
                    stacklevel=2,
                )


def load_extension(name: str) -> None:
    """Import an extension here and in every process that this one starts from now on.

    Args:
        name: A module that can be imported, such as `my_package.nasviz_extension`, or the path of a file.
            The folder of a file is put last on the import path, so that it can import its neighbours.

    Raises:
        InvalidSettingError: It cannot be imported.
    """
    if is_file := name.endswith(".py"):
        name = str(Path(name).expanduser().resolve())
    if name in _loaded:
        return
    _loaded.add(name)
    try:
        if is_file:
            _import_file(Path(name))
        else:
            importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the extension may raise anything
        _loaded.discard(name)
        raise InvalidSettingError(
            f"the extension {name} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    known = [item for item in os.environ.get(VARIABLE, "").split(os.pathsep) if item]
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys([*known, name]))


def take_option(arguments: Iterable[str]) -> list[str]:
    """Load the extensions that arguments name with `--extension NAME`, and return the other arguments.

    This comes before the arguments are parsed, because the choices of other options depend on it.

    Raises:
        InvalidSettingError: An extension cannot be loaded, or the option has no value.
    """
    rest: list[str] = []
    given = iter(arguments)
    for word in given:
        if word == OPTION or word.startswith(f"{OPTION}="):
            name = word.partition("=")[2] or next(given, "")
            if not name:
                raise InvalidSettingError(f"{OPTION} names no module; write {OPTION} my_package.my_module")
            load_extension(name)
        else:
            rest.append(word)
    return rest


def _import_file(path: Path) -> None:
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    if path.stem in sys.modules:
        raise InvalidSettingError(f"{path.stem} is already the name of another module; rename the file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
