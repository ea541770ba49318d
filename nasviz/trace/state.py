"""Borrow a module: whatever is done to it in between, it is afterwards as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nasviz.errors import require_type

__all__ = ["borrowed", "require_module", "spread"]


def require_module(argument: str, value: Any) -> None:
    """Refuse what is no module.

    Raises:
        ArgumentError: It is a class, a function, an exported program or anything else.
    """
    remedy = "pass an object of a class of torch.nn"
    if isinstance(value, type):
        remedy = f"make one: {value.__name__}(...)"
    elif type(value).__name__ == "ExportedProgram":
        remedy = "an exported program is one fixed graph: pass the module that it was exported from"
    require_type(argument, value, nn.Module, "a torch.nn.Module", remedy)


@contextmanager
def borrowed(model: nn.Module) -> Iterator[None]:
    """Give back the attributes of every module, the values of all buffers and torch's random state.

    Buffers are swapped for copies, so that not even their memory is written to.
    """
    # A module of TorchScript keeps its attributes in C++, and nothing here writes to them.
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
def spread(model: nn.Module, generator: torch.Generator) -> Iterator[None]:
    """Within, parameters that are all one number and running statistics are random.

    A fresh network hides errors: a gain of one, a shift of zero or a mean of zero may be read or not.
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
    """Uniform numbers, drawn where `generator` lives and moved to where `like` lives."""
    drawn = torch.rand(like.shape, generator=generator) * (high - low) + low
    return drawn.to(like)
