"""Inputs and states in which the networks of a parity check are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from nasviz.graph import Input, TraceGraph
from nasviz.subnet.network_inputs import arguments, example_inputs
from nasviz.subnet.zero import named_tensors

__all__ = ["LARGE_MACS", "ParityCase", "parity_cases"]

LARGE_MACS = 2 * 10**9
"""Multiply-accumulates of one example above which checks are cheaper (some 50 ms on one core)."""
_FEW = 8
"""Least number of values for batch statistics, as far as the batch size can provide it."""
_LARGE_SIDE = 64
"""Least height and width of images that may be halved."""


class ParityCase(NamedTuple):
    """State and inputs of one comparison."""

    name: str
    inputs: tuple[Any, ...]
    is_training: bool = False
    statistics: Mapping[str, Tensor] = MappingProxyType({})
    full_size: tuple[Any, ...] | None = None
    """Inputs of full size, for networks that do not accept smaller ones."""


def parity_cases(
    full: fx.GraphModule, trace: TraceGraph, *, inputs: Any = None, seed: int = 0, thorough: bool = False
) -> list[ParityCase]:
    """Return the checks with their inputs.

    The first uses the traced shapes, or `inputs`. For a network of many MACs the others use images of half
    the height and width, unless `thorough`.
    """
    statistics = _random_statistics(full, seed)
    if inputs is not None:
        inputs = arguments(full, inputs)
        first, second = ParityCase("evaluation", inputs), ParityCase("", inputs)
        third = ParityCase("training", inputs, True)
    else:
        shrink = trace.macs > LARGE_MACS and not thorough
        few, many = _batches(full, trace)
        first = ParityCase("evaluation", example_inputs(full, trace.inputs, batch=few, seed=seed))
        second = _random_case(full, trace, few, seed, shrink=shrink)
        third = _random_case(full, trace, many, seed, shrink=shrink)._replace(
            name="training", is_training=True
        )
    second = second._replace(name="evaluation with random statistics", statistics=statistics)
    return [first, second, third] if statistics else [first, third]


def _random_case(
    full: fx.GraphModule, trace: TraceGraph, batch: int, seed: int, *, shrink: bool
) -> ParityCase:
    whole = example_inputs(full, trace.inputs, batch=batch, seed=seed)
    smaller = [_halved(item) for item in trace.inputs]
    if not shrink or smaller == list(trace.inputs):
        return ParityCase("", whole)
    return ParityCase("", example_inputs(full, smaller, batch=batch, seed=seed), full_size=whole)


def _halved(item: Input) -> Input:
    """Return an image input of half the height and width if it is large, else `item`."""
    batch, *sizes = item.shape or (0,)
    if len(sizes) != 3 or batch >= 0 or min(sizes[1:]) < _LARGE_SIDE:
        return item
    return replace(item, shape=(batch, sizes[0], sizes[1] // 2, sizes[2] // 2))


def _batches(net: fx.GraphModule, trace: TraceGraph) -> tuple[int, int]:
    """Return the batch sizes for evaluation and training: one, or two where one is a special case."""
    squeezes = {vertex.id for vertex in trace if vertex.operator == "squeeze"}
    if any(_may_squeeze_batch(node, trace) for node in net.graph.nodes if node.name in squeezes):
        return 2, 2
    sizes = [prod(abs(size) for size in v.shape[2:]) for v in trace if v.operator == "batch_norm"]
    return 1, 2 if min(sizes, default=_FEW) < _FEW else 1


def _may_squeeze_batch(node: fx.Node, trace: TraceGraph) -> bool:
    """Return whether the batch axis is squeezed if it is one: no axis given, or one that was kept."""
    vertex = trace[node.name]
    names_axis = len(node.args) + len(node.kwargs) > 1
    return not names_axis or len(trace.shapes[vertex.inputs[0]]) == len(vertex.shape)


def _random_statistics(net: nn.Module, seed: int) -> dict[str, Tensor]:
    """Return running statistics by name: means shifted by half a deviation, variances scaled."""
    generator = torch.Generator().manual_seed(seed)
    drawn: dict[str, Tensor] = {}
    tensors = named_tensors(net)
    for name in sorted(tensors):
        variance_name = name.removesuffix("running_mean") + "running_var"
        if not name.endswith("running_mean") or variance_name not in tensors:
            continue
        mean, variance = tensors[name], tensors[variance_name]
        moved = torch.randn(mean.shape, generator=generator).to(mean)
        drawn[name] = mean + 0.5 * variance.sqrt() * moved
        drawn[variance_name] = variance * (0.5 + torch.rand(mean.shape, generator=generator).to(mean))
    return drawn
