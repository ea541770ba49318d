"""Third-party modules without a rule for data: Python source imports them by name.

A data file must not name them, because building one runs its code. So a network that holds one is saved as
Python source and weights only, and its imports are listed.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from nasviz.errors import ExportError
from nasviz.subnet.modules import settings_of

__all__ = ["Import", "has_rule", "import_of", "imports_of"]

_PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Import:
    """A class to import, and the arguments that make an equal module."""

    module: str
    name: str
    settings: dict[str, Any]

    @property
    def path(self) -> str:
        """Return the qualified name of the class."""
        return f"{self.module}.{self.name}"


def import_of(module: nn.Module) -> Import:
    """Return how to rebuild a module from its class, according to its attributes.

    Each argument of the constructor is taken from the attribute of the same name; the rebuilt module must
    have the same plain attributes.

    Raises:
        ExportError: The class cannot be imported by name, holds tensors, or does not keep its arguments.

    Examples:
        >>> import_of(nn.Hardtanh(-2.0, 2.0)).settings["max_val"]
        2.0
    """
    kind = type(module)
    words = f"a module of class {kind.__module__}.{kind.__qualname__} has no rule for source, and"
    if kind.__module__ == "__main__" or "." in kind.__qualname__:
        raise ExportError(f"{words} its class cannot be imported by name; define it at the top of a file")
    if any(True for _ in (*module.parameters(), *module.buffers())):
        raise ExportError(f"{words} it holds tensors; export to ONNX instead, or save the state_dict")
    settings: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        value = vars(module).get(name, inspect.Parameter.empty)
        if value is not inspect.Parameter.empty and _is_plain(value):
            settings[name] = value
        elif parameter.default is inspect.Parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            raise ExportError(f"{words} it does not keep its argument {name} as an attribute")
    if _plain_attributes(kind(**settings)) != _plain_attributes(module):
        raise ExportError(f"{words} its attributes do not determine how it was made")
    return Import(kind.__module__, kind.__qualname__, settings)


def imports_of(net: fx.GraphModule) -> tuple[str, ...]:
    """Return the classes that the source of a network imports, because there is no rule for them.

    Raises:
        ExportError: One of them cannot be imported.
    """
    called = {str(node.target) for node in net.graph.nodes if node.op == "call_module"}
    modules = [net.get_submodule(path) for path in sorted(called)]
    return tuple(dict.fromkeys(import_of(module).path for module in modules if not has_rule(module)))


def has_rule(module: nn.Module) -> bool:
    """Return whether a module can be written as data."""
    try:
        settings_of(module)
    except ExportError:
        return False
    return True


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)


def _plain_attributes(module: nn.Module) -> dict[str, Any]:
    return {n: v for n, v in vars(module).items() if n != "training" and _is_plain(v)}
