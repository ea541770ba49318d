"""Origin of a call: the modules around it and the line of the user's code."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

__all__ = ["ORIGIN", "Origin", "error_location", "find_origins", "innermost_user_line", "source_line"]

ORIGIN = "nasviz_origin"
"""Key of `node.meta` under which a traced network keeps the origin of its nodes."""

_FRAME = re.compile(r'File "(?P<path>[^"]+)", line (?P<line>\d+)')
_TORCH = str(Path(torch.__file__).parent)
_HERE = str(Path(__file__).parent)


@dataclass(frozen=True, slots=True)
class Origin:
    """Origin of one call."""

    path: str = ""
    """Path of the innermost module around the call."""
    scope: tuple[str, ...] = ()
    """Paths of the modules around it, outermost first, without the root."""
    is_whole: bool = False
    """Whether that module is a single module of torch.nn, so that the call is the module."""
    source: str = ""
    """`file:line` of the user's code."""


def find_origins(graph: fx.Graph, model: nn.Module) -> dict[fx.Node, Origin]:
    """Return the origin of every call; for a traced `model`, the origins recorded by its first trace."""
    modules = dict(model.named_modules(remove_duplicate=False))
    by_name: dict[str, Origin] = {}
    by_path: dict[str, Origin] = {}
    if isinstance(model, fx.GraphModule):
        for before in model.graph.nodes:
            if isinstance(origin := before.meta.get(ORIGIN), Origin):
                by_name[before.name] = origin
                if before.op == "call_module":
                    by_path[str(before.target)] = origin
    origins = {}
    for node in graph.nodes:
        names = [getattr(source, "name", "") for source in node.meta.get("from_node") or ()]
        paths = [_without_call_number(str(e[0])) for e in (node.meta.get("nn_module_stack") or {}).values()]
        known = [by_name[name] for name in names if name in by_name]
        known += [by_path[path] for path in paths if path in by_path]
        origins[node] = known[0] if known else _origin(paths, modules, node.meta.get("stack_trace"))
    return origins


def _origin(paths: list[str], modules: dict[str, nn.Module], stack_trace: Any) -> Origin:
    scope = tuple(dict.fromkeys(path for path in paths if path and path in modules))
    if not scope:
        return Origin(source=source_line(stack_trace))
    module = modules[scope[-1]]
    is_whole = type(module).__module__.startswith("torch.nn.") and not module._modules
    return Origin(scope[-1], scope[:-1] if is_whole else scope, is_whole, source_line(stack_trace))


def _without_call_number(path: str) -> str:
    """Return the path without the suffix `@1` that export adds for the second call of a module."""
    return path.split("@")[0]


def source_line(stack_trace: Any) -> str:
    """Return the innermost frame outside torch and this package, as `file:line`.

    Examples:
        >>> source_line('File "/home/me/net.py", line 7, in forward')
        'net.py:7'
    """
    for frame in reversed(list(_FRAME.finditer(stack_trace or ""))):
        path = frame["path"]
        if not path.startswith((_TORCH + "/", _HERE + "/", "<")) and not path.startswith("torch/"):
            return f"{Path(path).name}:{frame['line']}"
    return ""


def error_location(error: BaseException, model: nn.Module) -> str:
    """Return the innermost module and line of user code of an error, as a suffix for messages."""
    line, path = innermost_user_line(error), _module_of_error(error, model)
    where = ([f"in {path}"] if path else []) + ([f"at {line}"] if line else [])
    return f" ({', '.join(where)})" if where else ""


def _module_of_error(error: BaseException, model: nn.Module) -> str:
    """Return path and class of the innermost part of `model` that raised an error; empty if none."""
    paths = {id(module): path for path, module in model.named_modules()}
    found, position = "", error.__traceback__
    while position is not None:
        owner = position.tb_frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and paths.get(id(owner)):
            found = f"{paths[id(owner)]}, a {type(owner).__name__}"
        position = position.tb_next
    return found


def innermost_user_line(error: BaseException) -> str:
    """Return the innermost line outside torch and this package that an error passed, with its text."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if source_line(f'File "{frame.filename}", line {frame.lineno}'):
            return f"{Path(frame.filename).name}:{frame.lineno}: {frame.line}"
    return ""
