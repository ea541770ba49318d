"""Objects that hold tensors, such as dataclasses and caches, as pytrees.

`torch.utils._pytree` knows tuples, lists, dicts, and classes that libraries register. Classes of other
objects in a network's inputs or outputs are registered here: an object is flattened to the attributes that
hold tensors; its class and its other attributes are the context.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from nasviz.errors import TraceError
from nasviz.trace.leaves import Position

__all__ = ["PathStep", "leaf_paths", "register_classes"]

_MARKS = (Tensor, Position, fx.Node)
"""Values that take the place of a tensor while a network is traced."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Shell:
    """Context of a flattened object; equal for objects of one class with the same parts."""

    kind: type
    names: tuple[str, ...]
    rest: dict[str, Any] = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class PathStep:
    """One step from a nested value to a part of it."""

    key: Any
    is_attribute: bool = False
    field: str = ""
    """Name of a part that is accessed by its index."""

    @property
    def name(self) -> str:
        """Return the display name of the part."""
        return self.field or str(self.key)


def register_classes(value: Any) -> None:
    """Register the class of every object within `value` that holds tensors as a pytree node.

    The registration with torch lasts for the rest of the process.

    Examples:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> output = SimpleNamespace(labels=["a"], scores=torch.ones(1))
        >>> register_classes(output)
        >>> pytree.tree_map_only(Tensor, lambda t: t + 1, output)
        namespace(labels=['a'], scores=tensor([2.]))
    """
    for leaf in pytree.tree_leaves(value):
        if not _holds_tensors(leaf, ()):
            continue
        if type(leaf) not in pytree.SUPPORTED_NODES:
            pytree.register_pytree_node(
                type(leaf), _flatten, _unflatten, flatten_with_keys_fn=_flatten_with_keys
            )
        register_classes(list(_attributes(leaf).values()))


def leaf_paths(value: Any, path: tuple[PathStep, ...] = ()) -> Iterator[tuple[tuple[PathStep, ...], Any]]:
    """Yield every leaf of a nested value with its path.

    Raises:
        TraceError: A class within is registered with torch without names for its parts.

    Examples:
        >>> [(steps[0].key, leaf) for steps, leaf in leaf_paths({"x": 1, "y": 2})]
        [('x', 1), ('y', 2)]
    """
    if pytree.tree_is_leaf(value):
        yield path, value
        return
    if isinstance(value, Mapping):
        steps = [(PathStep(key), part) for key, part in value.items()]
    elif isinstance(value, tuple | list):
        fields = getattr(value, "_fields", [""] * len(value))
        steps = [(PathStep(i, field=f), part) for i, (f, part) in enumerate(zip(fields, value, strict=True))]
    else:
        names = pytree.SUPPORTED_NODES[type(value)].flatten_with_keys_fn
        if names is None:
            raise TraceError(
                f"an argument of class {type(value).__name__} has no named parts; pass a tuple, a"
                " dict or a dataclass instead"
            )
        keyed, _ = names(value)
        steps = [(_step(key), part) for key, part in keyed]
    for step, part in steps:
        yield from leaf_paths(part, (*path, step))


def _step(key: Any) -> PathStep:
    if isinstance(key, pytree.GetAttrKey):
        return PathStep(key.name, is_attribute=True)
    return PathStep(getattr(key, "key", getattr(key, "idx", None)))


def _holds_tensors(value: Any, around: tuple[int, ...]) -> bool:
    """Return whether an object that pytrees treat as a leaf holds a tensor in its attributes."""
    if isinstance(value, (*_MARKS, nn.Module, type)) or id(value) in around:
        return False
    leaves = pytree.tree_leaves(list(_attributes(value).values()))
    return any(isinstance(leaf, Tensor) or _holds_tensors(leaf, (*around, id(value))) for leaf in leaves)


def _attributes(value: Any) -> dict[str, Any]:
    """Return the attributes of an object, including slots of a dataclass."""
    found = {f.name: getattr(value, f.name) for f in _fields(value) if hasattr(value, f.name)}
    return found | getattr(value, "__dict__", {})


def _fields(value: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()


def _parts(value: Any) -> dict[str, Any]:
    """Return the attributes that are, or may become, tensors or nested tensors."""
    return {
        name: part
        for name, part in _attributes(value).items()
        if part is None or isinstance(part, _MARKS) or not pytree.tree_is_leaf(part)
    }


def _flatten(value: Any) -> tuple[list[Any], _Shell]:
    parts = _parts(value)
    rest = {name: None if name in parts else other for name, other in _attributes(value).items()}
    return list(parts.values()), _Shell(type(value), tuple(parts), rest)


def _flatten_with_keys(value: Any) -> tuple[list[tuple[Any, Any]], _Shell]:
    parts, shell = _flatten(value)
    return [(pytree.GetAttrKey(name), part) for name, part in zip(shell.names, parts, strict=True)], shell


def _unflatten(parts: Any, shell: _Shell) -> Any:
    made: Any = shell.kind.__new__(shell.kind)  # type: ignore[call-overload]
    for name, value in (shell.rest | dict(zip(shell.names, parts, strict=True))).items():
        object.__setattr__(made, name, value)  # works for frozen dataclasses too
    return made
