"""A table of latencies: how long each candidate operation takes on the device that will run it.

Operators of one kind on values of one shape are measured once (per operation, channels, size and stride), by
repeated timed passes, of which the median counts. An operation takes as long as its operators together.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from nasviz.errors import InvalidSettingError

__all__ = ["measure_operations"]


def measure_operations(
    net: fx.GraphModule,
    inputs: tuple[Any, ...],
    operations: Sequence[Collection[str]],
    *,
    repeats: int = 15,
    warm_up: int = 3,
) -> Tensor:
    """Median milliseconds of each operation, in evaluation mode; shape `(num_operations,)`, float64.

    Args:
        net: A traced network, on the device that is measured; its modes are as before afterwards.
        inputs: Its arguments, on that device; the size of the batch counts.
        operations: Of each operation its vertices.
        repeats: Passes of each operator that are timed.
        warm_up: Passes before them that are not.

    Raises:
        InvalidSettingError: Nothing would be timed.
    """
    if repeats < 1 or warm_up < 0:
        raise InvalidSettingError(
            f"repeats={repeats} with warm_up={warm_up}: at least one pass must be timed, none can be negative"
        )
    wanted = {vertex for vertices in operations for vertex in vertices}
    watch = _Stopwatch(net, wanted, repeats, warm_up)
    modes = [(module, module.training) for module in net.modules()]
    try:
        net.eval()
        with torch.inference_mode():
            watch.run(*inputs)
    finally:
        for module, was_training in modes:
            module.training = was_training
    return torch.tensor(
        [sum(watch.taken[vertex] for vertex in vertices) for vertices in operations], dtype=torch.float64
    )


class _Stopwatch(fx.Interpreter):
    """Runs a network once, and its wanted operators many times."""

    def __init__(self, net: fx.GraphModule, wanted: Collection[str], repeats: int, warm_up: int) -> None:
        super().__init__(net)
        self.taken: dict[str, float] = {}
        """Milliseconds of each wanted operator."""
        self._wanted, self._repeats, self._warm_up = wanted, repeats, warm_up
        self._known: dict[Any, float] = {}

    def run_node(self, n: fx.Node) -> Any:
        """The node's value; on the way it is timed, unless one like it was."""
        if n.name in self._wanted:
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            key = self._kind(n, (args, kwargs))
            if key not in self._known:
                self._known[key] = self._time(n, args, kwargs)
            self.taken[n.name] = self._known[key]
        return super().run_node(n)

    def _kind(self, node: fx.Node, values: Any) -> Any:
        """Return what two operators must have in common to take equally long."""
        what = repr(self.fetch_attr(str(node.target))) if node.op == "call_module" else str(node.target)
        leaves = [
            (tuple(v.shape), v.stride(), v.dtype) if isinstance(v, Tensor) else repr(v)
            for v in pytree.tree_leaves(values)
        ]
        return what, tuple(leaves)

    def _time(self, node: fx.Node, args: Any, kwargs: Any) -> float:
        call = getattr(self, node.op)
        devices = {v.device for v in pytree.tree_leaves((args, kwargs)) if isinstance(v, Tensor)}
        taken = []
        for _ in range(self._warm_up + self._repeats):
            _finish(devices)
            start = time.perf_counter()
            call(node.target, args, kwargs)
            _finish(devices)
            taken.append(1e3 * (time.perf_counter() - start))
        return median(taken[self._warm_up :])


def _finish(devices: Collection[torch.device]) -> None:
    for device in devices:
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
