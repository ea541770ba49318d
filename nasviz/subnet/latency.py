"""Latency of networks for a batch, measured on the device that holds them.

A forward pass is timed in evaluation mode and without gradients, until the device has finished it. Several
networks take turns, so that other load on the machine affects all alike; medians are compared.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from nasviz.errors import InvalidSettingError
from nasviz.graph import LatencyTable
from nasviz.subnet.parity import arguments
from nasviz.trace import TracedNetwork

__all__ = ["Latency", "measure_latencies", "measure_latency", "measure_vertices"]


@dataclass(frozen=True, slots=True)
class Latency:
    """Duration of one forward pass in milliseconds."""

    median_ms: float
    iqr_ms: float
    """Interquartile range: half of the repeats lie within it."""
    num_repeats: int
    batch_size: int
    device: str

    def to_json(self) -> dict[str, Any]:
        """Return plain data, ready for `json.dumps`."""
        return asdict(self)


def measure_latency(module: nn.Module, inputs: Any, *, repeats: int = 30, warm_up: int = 3) -> Latency:
    """Measure median and spread of repeated forward passes of one network.

    Args:
        module: Network on the measured device; its mode is restored.
        inputs: A tensor, a tuple of arguments or a dict of keyword arguments, on the same device.
        repeats: Number of timed passes.
        warm_up: Number of untimed passes before them.

    Raises:
        InvalidSettingError: No pass would be timed.

    Examples:
        >>> latency = measure_latency(nn.Linear(4, 2), torch.zeros(8, 4), repeats=5)
        >>> latency.num_repeats, latency.batch_size, latency.median_ms > 0
        (5, 8, True)
    """
    return measure_latencies((module,), inputs, repeats=repeats, warm_up=warm_up)[0]


def measure_latencies(
    modules: Sequence[nn.Module],
    inputs: Any,
    *,
    repeats: int = 30,
    warm_up: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Latency, ...]:
    """Measure several networks that take the same inputs in turn: one pass of each, then the next.

    Args:
        modules: Networks on the measured device.
        inputs: A tensor, a tuple of arguments or a dict of keyword arguments, on the same device.
        repeats: Number of timed passes of each network.
        warm_up: Number of untimed passes of each network before them.
        clock: Clock in seconds. `time.process_time` excludes other load on a busy processor.

    Raises:
        InvalidSettingError: No pass would be timed.
    """
    if repeats < 1 or warm_up < 0:
        raise InvalidSettingError(
            f"repeats={repeats} with warm_up={warm_up}: repeats must be at least 1, and warm_up at least 0"
        )
    fed = [arguments(module, inputs) for module in modules]
    device = _device_of(fed)
    times: list[list[float]] = [[] for _ in modules]
    with _evaluating(modules):
        for repeat in range(-warm_up, repeats):
            for module, given, found in zip(modules, fed, times, strict=True):
                taken = _timed_ms(partial(module, *given), device, clock)
                if repeat >= 0:
                    found.append(taken)
    return tuple(Latency(*_spread(found), repeats, _batch_size(fed), str(device)) for found in times)


def measure_vertices(net: TracedNetwork, inputs: Any, *, repeats: int = 10, warm_up: int = 2) -> LatencyTable:
    """Time every vertex of a traced network, operator by operator, and the whole network.

    On a GPU the host waits for each operator, which is slower than running them in a row: use only the shares
    of the vertices; the whole network is timed separately.

    Args:
        net: Traced network on the measured device.
        inputs: A tensor, a tuple of arguments or a dict of keyword arguments, on the same device.
        repeats: Number of timed passes; the median of each vertex is returned.
        warm_up: Number of untimed passes before them.
    """
    fed = arguments(net, inputs)
    clock = _VertexClock(net, _device_of(fed))
    with _evaluating((net,)):
        for repeat in range(-warm_up, repeats):
            if repeat == 0:
                clock.times.clear()
            clock.run(*fed)
    whole = measure_latency(net, inputs, repeats=repeats, warm_up=warm_up)
    vertices = {v.id: median(clock.times[v.id]) for v in net.trace_graph if clock.times.get(v.id)}
    return LatencyTable(whole.median_ms, vertices, whole.device, whole.batch_size)


class _VertexClock(fx.Interpreter):
    """Interpreter that records the duration of every node."""

    def __init__(self, net: fx.GraphModule, device: torch.device) -> None:
        super().__init__(net)
        self.times: dict[str, list[float]] = defaultdict(list)
        self._device = device

    def run_node(self, n: fx.Node) -> Any:
        """Run and time one node."""
        found: list[Any] = []
        run = super().run_node
        taken = _timed_ms(lambda: found.append(run(n)), self._device)
        self.times[n.name].append(taken)
        return found[0]


def _timed_ms(
    work: Callable[[], Any], device: torch.device, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the milliseconds from submitting `work` to an idle device until it has finished."""
    _finish(device)
    start = clock()
    work()
    _finish(device)
    return 1e3 * (clock() - start)


def _spread(times: Sequence[float]) -> tuple[float, float]:
    """Return median and interquartile range.

    Examples:
        >>> _spread([1.0, 2.0, 3.0, 4.0, 100.0])
        (3.0, 2.0)
    """
    quartiles = torch.tensor(times, dtype=torch.float64).quantile(
        torch.tensor([0.25, 0.75], dtype=torch.float64)
    )
    return median(times), float(quartiles[1] - quartiles[0])


def _device_of(values: Any) -> torch.device:
    """Return the device of the first tensor among nested values, or the CPU."""
    return next((t.device for t in pytree.tree_leaves(values) if isinstance(t, Tensor)), torch.device("cpu"))


@contextmanager
def _evaluating(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Evaluate without gradients within the context, and restore the mode of every module."""
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


def _batch_size(values: Any) -> int:
    return next((len(t) for t in pytree.tree_leaves(values) if isinstance(t, Tensor) and t.dim()), 1)


def _finish(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
