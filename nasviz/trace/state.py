"""Temporary changes to a module that are undone on exit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nasviz.errors import require_type

__all__ = ["preserve_state", "randomize_state", "require_module"]


def require_module(argument: str, value: Any) -> None:
    """Reject anything but a module.

    Raises:
        ArgumentError: `value` is a class, a function, an exported program or anything else.
    """
    remedy = "pass an instance of a torch.nn.Module class"
    if isinstance(value, type):
        remedy = f"create an instance: {value.__name__}(...)"
    elif type(value).__name__ == "ExportedProgram":
        remedy = "an exported program is a fixed graph: pass the module that it was exported from"
    require_type(argument, value, nn.Module, "a torch.nn.Module", remedy)


@contextmanager
def preserve_state(model: nn.Module) -> Iterator[None]:
    """Restore the attributes of every module, the values of all buffers and torch's random state on exit.

    Buffers are swapped for copies, so that their memory is never written to.
    """
    # A TorchScript module keeps its attributes in C++, and nothing here writes to them.
    modules = [module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]
    attributes = [(module, dict(vars(module))) for module in modules]
    registered = [(module._buffers, dict(module._buffers)) for module in modules]
    buffers = [(buffer, buffer.data) for buffer in model.buffers()]
    devices = {t.device for t in (*model.parameters(), *model.buffers()) if t.device.type == "cuda"}
    with torch.random.fork_rng(devices=[device.index for device in devices]):
        try:
            for buffer, data in buffers:
                buffer.data = data.clone()
            yield
        finally:
            for buffer, data in buffers:
                buffer.data = data
            for module, before in attributes:
                vars(module).clear()
                vars(module).update(before)
            for names, tensors in registered:
                names.clear()
                names.update(tensors)


@contextmanager
def randomize_state(model: nn.Module, generator: torch.Generator) -> Iterator[None]:
    """Randomize constant parameters and running statistics within the context.

    In a fresh network, gains of one, shifts of zero and means of zero hide whether they are read.
    """
    swapped: list[tuple[Tensor, Tensor]] = []
    try:
        for parameter in model.parameters():
            data = parameter.data
            if data.is_floating_point() and data.numel() and bool((data == data.flatten()[0]).all()):
                swapped.append((parameter, data))
                is_zero = bool(data.flatten()[0] == 0)
                parameter.data = (
                    _random(data, -0.2, 0.2, generator) if is_zero else _random(data, 0.5, 1.5, generator)
                )
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                swapped.append((buffer, buffer.data))
                low, high = (-0.2, 0.2) if name.endswith("mean") else (0.5, 1.5)
                buffer.data = _random(buffer.data, low, high, generator)
        yield
    finally:
        for tensor, data in swapped:
            tensor.data = data


def _random(like: Tensor, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Return uniform numbers, drawn on the device of `generator` and moved to that of `like`."""
    drawn = torch.rand(like.shape, generator=generator) * (high - low) + low
    return drawn.to(like)
