"""A user's own Python: networks, data and losses, imported only from trusted folders.

Importing runs the code, so call this in a worker or on the command line, never in the server.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from torch import nn

from nasviz.catalog import NetworkSource
from nasviz.catalog.user_modules import find_module, is_own_file
from nasviz.errors import InvalidSettingError

__all__ = ["build_from_user_code", "call_with", "import_callable", "takes"]


def build_from_user_code(source: NetworkSource, num_classes: int | None) -> tuple[nn.Module, Any]:
    """Return the module and the example inputs (or `None`) that the callable `source.name` returns.

    The callable receives the source's settings as keywords, and `num_classes` if it has that argument.

    Raises:
        InvalidSettingError: The trusted folders have no such callable, or it fails, or it returns no module.
    """
    with import_callable(source.name, source.trust) as target:
        result = _call(target, source, num_classes)
    model, inputs = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    if not isinstance(model, nn.Module):
        raise InvalidSettingError(
            f"{source.name} returned {type(model).__name__}; it must return a torch.nn.Module, or a pair of a"
            " module and its example inputs"
        )
    return model, inputs


@contextmanager
def import_callable(name: str, trust: Sequence[str]) -> Iterator[Any]:
    """Import what `package.module:callable` names; its folder is on `sys.path` within the context.

    Raises:
        InvalidSettingError: The trusted folders define no such name, or importing it fails.
    """
    module_name, _, attribute = name.partition(":")
    found = find_module(module_name, trust)
    with _importable(found.folder):
        yield _attribute(_import(module_name, found.file), attribute, name, found.folder)


def call_with(target: Any, name: str, keywords: Mapping[str, Any], offered: Mapping[str, Any]) -> Any:
    """Call user code with `keywords`, and with those of `offered` that it has arguments for.

    Raises:
        InvalidSettingError: The code raises an exception.
    """
    taken = {key: value for key, value in offered.items() if key not in keywords and takes(target, key)}
    try:
        return target(**keywords, **taken)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise InvalidSettingError(f"calling {name} raised {_describe_error(error)}") from error


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _import(module_name: str, file: Path) -> ModuleType:
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        remedy = (
            f"; install its requirements where nasviz runs, or put them next to {file.name}"
            if isinstance(error, ImportError)
            else ""
        )
        raise InvalidSettingError(
            f"importing {module_name} raised {_describe_error(error)}{remedy}"
        ) from error
    if Path(module.__file__ or "").resolve() != file:
        raise InvalidSettingError(
            f"{module_name} is already the name of another module, {module.__file__ or 'a built-in one'};"
            f" rename {file}"
        )
    return module


def _attribute(module: ModuleType, attribute: str, name: str, folder: Path) -> Any:
    """Return the object of this name, if it was defined in the trusted folder.

    Imports of a trusted module are not its own: a name chosen by others could otherwise reach `os.system`
    through any module that imports torch.
    """
    holder: Any = module
    value: Any = module
    for part in attribute.split("."):
        # Only its own dictionary: no `__getattr__`, no base class, no path through another module.
        is_held = isinstance(holder, ModuleType | type) and part in vars(holder)
        if not is_held or part.startswith("__"):
            raise InvalidSettingError(f"{name}: {module.__file__} has no {attribute!r} defined in it")
        if (foreign := _describe_foreign(vars(holder)[part], folder)) is not None:
            raise InvalidSettingError(
                f"{name}: {part!r} is {foreign}, not defined in the trusted folder {folder}; write a function"
                " in your file that calls it and returns the result, and use its name"
            )
        value = getattr(holder, part)
        holder = value
    return value


def _describe_foreign(value: Any, folder: Path) -> str | None:
    """Return a description of an object defined outside the folder; None if it was defined inside."""
    if isinstance(value, ModuleType):
        return "a module"
    if isinstance(value, nn.Module):
        return None  # built by the module that holds it, and not called with arguments from outside
    if isinstance(value, staticmethod | classmethod | MethodType):
        return _describe_foreign(value.__func__, folder)
    if isinstance(value, functools.partial):
        return _describe_foreign(value.func, folder)
    if isinstance(value, type):
        return _describe_foreign_class(value, folder)
    if not callable(value):
        return None
    inner = inspect.unwrap(value)  # decorators may be defined anywhere
    if isinstance(inner, FunctionType):
        file = inner.__code__.co_filename
        return None if is_own_file(file, folder) else f"code of {file}"
    if inner is not value:
        return _describe_foreign(inner, folder)
    if isinstance(value, BuiltinFunctionType):
        return "built into Python or a library"
    return _describe_foreign_class(type(value), folder)


def _describe_foreign_class(kind: type, folder: Path) -> str | None:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if file is None or not is_own_file(file, folder):
        return f"a class of {file or kind.__module__}"
    for method in ("__new__", "__init__", "__call__", "forward"):
        member = vars(kind).get(method)
        if not callable(member):
            continue
        inner = inspect.unwrap(member)
        inner = getattr(inner, "__func__", inner)
        if not isinstance(inner, FunctionType):
            return f"a class whose {method} is {member!r:.80}"
        place = inner.__code__.co_filename
        if place.startswith("<"):
            # Generated, as by dataclasses, for the file of the class; or frozen into Python, whose functions
            # know the file of their module.
            place = inner.__globals__.get("__file__", file)
        if not is_own_file(place, folder):
            return f"a class whose {method} is code of {place}"
    return None


def _call(target: Any, source: NetworkSource, num_classes: int | None) -> Any:
    if isinstance(target, nn.Module):
        if source.settings:
            names = ", ".join(dict(source.settings))
            raise InvalidSettingError(
                f"{source.name} is already a network, and takes no {names}; leave it out"
            )
        return target
    if not callable(target):
        raise InvalidSettingError(
            f"{source.name} is {type(target).__name__}; use a class or a function that returns a module"
        )
    offered = {} if num_classes is None else {"num_classes": num_classes}
    if lacking := _missing_arguments(target, {*dict(source.settings), *offered}):
        raise InvalidSettingError(
            f"{source.name} needs {', '.join(lacking)}, which is not given; write a function that calls it"
            " with these arguments and returns the network, and use its name"
        )
    return call_with(target, source.name, dict(source.settings), offered)


def takes(target: Callable[..., Any], name: str) -> bool:
    """Return whether a callable has an argument of this name."""
    try:
        return name in inspect.signature(target).parameters
    except (TypeError, ValueError):
        return False


def _missing_arguments(target: Callable[..., Any], given: set[str]) -> list[str]:
    """Return the required arguments that are not in `given`."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return []
    several = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    needed = (p for p in parameters if p.default is p.empty and p.kind not in several)
    return [parameter.name for parameter in needed if parameter.name not in given]


def _describe_error(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:300]}" if str(error) else type(error).__name__
