"""Latency: how long networks take for a batch, measured side by side on the device where they lie.

A forward pass is repeated, in evaluation mode and without gradients, until the device has finished it.
Several networks take turns, so that other work on the machine hits all alike; what is compared is medians.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from nasviz.errors import InvalidSettingError
from nasviz.subnet.feed import arguments

__all__ = ["Latency", "device_of", "measure_latencies", "measure_latency", "spread", "waiting"]


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one forward pass takes, in milliseconds."""

    median_ms: float
    iqr_ms: float
    """Interquartile range: half of the repeats lie within it."""
    num_repeats: int
    batch_size: int
    device: str

    def to_json(self) -> dict[str, Any]:
        """Plain data, ready for `json.dumps`."""
        return asdict(self)


def measure_latency(module: nn.Module, inputs: Any, *, repeats: int = 30, warm_up: int = 3) -> Latency:
    """Median and spread of repeated forward passes of one network.

    Args:
        module: Lies on the device that is measured; its mode is as before afterwards.
        inputs: A tensor, a tuple of arguments or a dict of keyword arguments, on the same device.
        repeats: Passes that are timed.
        warm_up: Passes before them that are not.

    Raises:
        InvalidSettingError: Nothing would be timed.

    Examples:
        >>> latency = measure_latency(nn.Linear(4, 2), torch.zeros(8, 4), repeats=5)
        >>> latency.num_repeats, latency.batch_size, latency.median_ms > 0
        (5, 8, True)
    """
    return measure_latencies((module,), inputs, repeats=repeats, warm_up=warm_up)[0]


def measure_latencies(
    modules: Sequence[nn.Module], inputs: Any, *, repeats: int = 30, warm_up: int = 3
) -> tuple[Latency, ...]:
    """The same of several networks that take the same inputs, in turn: one pass of each, then the next.

    Raises:
        InvalidSettingError: Nothing would be timed.
    """
    if repeats < 1 or warm_up < 0:
        raise InvalidSettingError(
            f"repeats={repeats} with warm_up={warm_up}: at least one pass must be timed, none can be negative"
        )
    fed = [arguments(module, inputs) for module in modules]
    device = device_of(fed[0] if fed else ())
    times: list[list[float]] = [[] for _ in modules]
    with waiting(modules):
        for repeat in range(-warm_up, repeats):
            for module, given, found in zip(modules, fed, times, strict=True):
                taken = timed_ms(partial(module, *given), device)
                if repeat >= 0:
                    found.append(taken)
    batch_size = next((len(t) for t in pytree.tree_leaves(fed) if isinstance(t, Tensor) and t.dim()), 1)
    return tuple(Latency(*spread(found), repeats, batch_size, str(device)) for found in times)


def timed_ms(work: Callable[[], Any], device: torch.device) -> float:
    """Milliseconds from handing `work` to an idle device until the device has finished it."""
    _finish(device)
    start = time.perf_counter()
    work()
    _finish(device)
    return 1e3 * (time.perf_counter() - start)


def spread(times: Sequence[float]) -> tuple[float, float]:
    """Median and interquartile range.

    Examples:
        >>> spread([1.0, 2.0, 3.0, 4.0, 100.0])
        (3.0, 2.0)
    """
    quartiles = torch.tensor(times, dtype=torch.float64).quantile(
        torch.tensor([0.25, 0.75], dtype=torch.float64)
    )
    return median(times), float(quartiles[1] - quartiles[0])


def device_of(values: Any) -> torch.device:
    """Where the first tensor among nested values lies; the CPU where there is none."""
    return next((t.device for t in pytree.tree_leaves(values) if isinstance(t, Tensor)), torch.device("cpu"))


@contextmanager
def waiting(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Evaluation mode without gradients; every module is in its own mode again afterwards."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        for module in modules:
            module.eval()
        try:
            yield
        finally:
            for part, was_training in modes:
                part.training = was_training


def _finish(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
