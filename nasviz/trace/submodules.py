"""Tracing of a part of a network that cannot be traced as a whole, and replacement of that part.

The control flow of a detector depends on values, that of its backbone does not: the backbone is traced on the
arguments that the detector calls it with, sliced, and spliced back.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from nasviz.errors import ConstructionError, TraceError, require_type
from nasviz.trace.free_axes import double_batch, first_line
from nasviz.trace.network import TracedNetwork
from nasviz.trace.parity import preserve_state, register_classes, require_module
from nasviz.trace.strategies import trace_call, warn_of_changes

__all__ = ["splice", "trace_submodule"]


def trace_submodule(model: nn.Module, path: str, example_inputs: Any) -> TracedNetwork:
    """Trace the sub-module at `path` on the arguments that `model` first calls it with.

    `model` runs once in evaluation mode, up to that call, and is left as it was. The traced network has the
    names of the sub-module: parameters are `body.conv.weight`, not `backbone.body.conv.weight`.

    Args:
        model: Any module, even one that cannot be traced itself.
        path: Path of the sub-module, as in `model.get_submodule`.
        example_inputs: Inputs of `model`: a tensor, a tuple of arguments, or a dict of keyword arguments.
            They are passed on unchanged, so a list of images is a tuple of one list.

    Raises:
        TraceError: There is no such sub-module, `model` does not call it, or it cannot be traced.

    Examples:
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
        >>> [v.name for v in trace_submodule(model, "1", torch.zeros(2, 4)).trace_graph]
        ['linear']
    """
    part = _part(model, path)
    args, kwargs = _first_call(model, part, path, example_inputs)
    network = trace_call(part, *double_batch(args, kwargs))
    if shared := _shared(model, part):
        note = (
            f"the rest of {type(model).__name__} reads {', '.join(shared)} too: protect what reads them here"
        )
        network.parity = replace(network.parity, warnings=(*network.parity.warnings, note))
    warn_of_changes(network, stacklevel=3)
    return network


def splice(model: nn.Module, path: str, replacement: nn.Module) -> nn.Module:
    """Return a copy of `model` with a copy of `replacement` as the sub-module at `path`.

    Weights that the sub-module shares with the rest stay shared. Plain attributes that others may read, such
    as `out_channels`, are copied over.

    Raises:
        TraceError: There is no such sub-module.
        ConstructionError: `replacement` has lost or sliced a tensor that the rest of `model` reads too.

    Examples:
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
        >>> splice(model, "1", nn.Identity())(torch.zeros(2, 4)).shape
        torch.Size([2, 3])
    """
    part = _part(model, path)
    require_module("replacement", replacement)
    small = copy.deepcopy(replacement)
    memo: dict[int, Any] = {id(part): small}
    theirs = {**dict(part.named_parameters()), **dict(part.named_buffers())}
    ours = {**dict(small.named_parameters()), **dict(small.named_buffers())}
    for name in _shared(model, part):
        if name not in ours or ours[name].shape != theirs[name].shape:
            found = tuple(ours[name].shape) if name in ours else "lost"
            raise ConstructionError(
                f"{name} of {path} is read by the rest of {type(model).__name__} too, but in the replacement"
                f" it is {found} instead of {tuple(theirs[name].shape)}; protect what reads it"
            )
        memo[id(theirs[name])] = ours[name]
    for key, value in vars(part).items():
        if isinstance(value, bool | int | float | str | tuple) and not hasattr(small, key):
            setattr(small, key, value)
    small.train(part.training)
    return copy.deepcopy(model, memo)


def _part(model: nn.Module, path: str) -> nn.Module:
    require_module("model", model)
    require_type("path", path, str, "the path of a sub-module as text", "such as 'backbone' or 'layer1.0'")
    try:
        part = model.get_submodule(path)
    except AttributeError as error:
        known = ", ".join(name for name, _ in model.named_children())
        raise TraceError(
            f"{type(model).__name__} has no sub-module {path!r}; its children are {known or 'none'}"
        ) from error
    if part is model:
        raise TraceError("the empty path is the model itself; use nasviz.trace for it")
    return part


class _ReachedError(Exception):
    """Raised once the sub-module is called, to stop the run."""


def _first_call(
    model: nn.Module, part: nn.Module, path: str, example_inputs: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of the first call of `part` while `model` runs."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append((args, kwargs))
        raise _ReachedError

    failure = ""
    with preserve_state(model), torch.no_grad():
        model.eval()
        handle = part.register_forward_pre_hook(note, with_kwargs=True)
        try:
            if isinstance(example_inputs, dict):
                model(**example_inputs)
            else:
                model(*(example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)))
        except Exception as error:  # the user's code, or the expected stop
            failure = "" if calls else f": {first_line(error)}"
        finally:
            handle.remove()
    if not calls:
        raise TraceError(
            f"{type(model).__name__} does not call {path} on these example inputs{failure}; pass inputs on"
            " which it does, or trace another sub-module"
        )
    register_classes(calls[0])
    copied: tuple[tuple[Any, ...], dict[str, Any]] = pytree.tree_map_only(
        Tensor, lambda tensor: tensor.detach().clone(), calls[0]
    )
    return copied


def _shared(model: nn.Module, part: nn.Module) -> list[str]:
    """Return the names, in `part`, of tensors that modules outside of it hold too."""
    inside = set(part.modules())
    outside = {
        id(tensor)
        for module in model.modules()
        if module not in inside
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False))
    }
    return [n for n, t in (*part.named_parameters(), *part.named_buffers()) if id(t) in outside]
