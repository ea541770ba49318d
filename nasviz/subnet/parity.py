"""Parity: the full network with its redundant groups at zero against the sub-network, in numbers.

Three checks, each over every output and relative to its largest value: evaluation mode with the running
statistics as they are; evaluation mode with statistics drawn at random, the same in both, because statistics
that were never trained hide wrong channels; training mode with dropouts off. The effect is the same distance
between the full network and the zeroed one: where it is tiny, agreement says little.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils import _pytree as pytree

from nasviz.errors import ConstructionError
from nasviz.graph import ConstructionPlan, Slice, TraceGraph
from nasviz.subnet.feed import arguments, example_inputs
from nasviz.subnet.slice import cut
from nasviz.subnet.zero import named_tensors
from nasviz.trace.leaves import BatchNormCall, OutputForm
from nasviz.trace.state import borrowed

__all__ = ["Check", "check_parity", "precision", "tolerance"]


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison."""

    name: str
    relative_error: float
    """Zeroed full network against sub-network, over the largest value of the former."""
    effect: float
    """Full network against zeroed full network, over the largest value of the former."""


def precision(net: nn.Module) -> torch.dtype:
    """The floating type of a network's parameters."""
    return next((p.dtype for p in net.parameters() if p.is_floating_point()), torch.get_default_dtype())


def tolerance(dtype: torch.dtype) -> float:
    """The relative error above which two networks of this precision count as different."""
    return {torch.float64: 1e-9, torch.float32: 1e-4}.get(dtype, 0.05)


def check_parity(
    full: fx.GraphModule,
    zeroed: fx.GraphModule,
    small: fx.GraphModule,
    trace: TraceGraph,
    plan: ConstructionPlan,
    *,
    inputs: Any = None,
    seed: int = 0,
) -> tuple[Check, ...]:
    """Compare three networks; weights, buffers and modes of all of them stay as they were.

    Batch statistics over few, nearly equal values blow rounding up. So where single precision disagrees by
    more than its tolerance, double precision decides, and the checks carry its numbers.

    Raises:
        ConstructionError: Outputs differ in number or shape, or are not finite.
    """
    fed = arguments(full, example_inputs(full, trace.inputs, seed=seed) if inputs is None else inputs)
    checks = _checks((full, zeroed, small), fed, plan.slices, seed)
    dtype = precision(full)
    if dtype != torch.float32 or max(c.relative_error for c in checks) <= tolerance(dtype):
        return checks
    doubles = tuple(copy.deepcopy(net).double() for net in (full, zeroed, small))
    wide = pytree.tree_map_only(Tensor, lambda t: t.double() if t.is_floating_point() else t, fed)
    decided = _checks(doubles, wide, plan.slices, seed, note=" in double precision")
    is_rounding = max(c.relative_error for c in decided) <= tolerance(torch.float64)
    return decided if is_rounding else checks


def _checks(
    nets: Sequence[nn.Module],
    fed: tuple[Any, ...],
    slices: Sequence[Slice],
    seed: int,
    note: str = "",
) -> tuple[Check, ...]:
    full, zeroed, small = nets
    statistics = _random_statistics(full, seed)
    cut_statistics = {
        name: cut(value, [piece for piece in slices if piece.tensor == name])
        for name, value in statistics.items()
    }
    found = [
        _answers(full, fed, statistics),
        _answers(zeroed, fed, statistics),
        _answers(small, fed, cut_statistics),
    ]
    return tuple(
        Check(
            name + note,
            relative_error=_distance(name, found[1][name], found[2][name]),
            effect=_distance(name, found[0][name], found[1][name]),
        )
        for name in found[0]
    )


def _random_statistics(net: nn.Module, seed: int) -> dict[str, Tensor]:
    """Running statistics by name: means moved by some half a deviation, variances scaled by 0.5 to 1.5."""
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


@torch.no_grad()
def _answers(net: nn.Module, fed: tuple[Any, ...], statistics: Mapping[str, Tensor]) -> dict[str, list[Any]]:
    """Outputs of `net` in each check."""
    buffers = dict(net.named_buffers())
    found: dict[str, list[Any]] = {}
    with borrowed(net), _full_precision():
        net.eval()
        found["evaluation"] = pytree.tree_leaves(net(*fed))
        if statistics:
            before = {name: buffers[name].clone() for name in statistics if name in buffers}
            for name in before:
                buffers[name].copy_(statistics[name])
            found["evaluation with random statistics"] = pytree.tree_leaves(net(*fed))
            for name, value in before.items():
                buffers[name].copy_(value)
        for module in net.modules():  # what drops at random stays in evaluation mode
            module.training = isinstance(module, _NormBase | BatchNormCall | OutputForm | fx.GraphModule)
        found["training"] = pytree.tree_leaves(net(*fed))
    return found


@contextmanager
def _full_precision() -> Iterator[None]:
    """Switch TensorFloat-32 off: its rounding would feign errors."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def _distance(name: str, wanted: Sequence[Any], got: Sequence[Any]) -> float:
    """Largest difference over all outputs, each relative to its own largest value."""
    if len(wanted) != len(got):
        raise ConstructionError(f"{name}: {len(wanted)} outputs were expected, {len(got)} came")
    return max((_relative(name, w, g) for w, g in zip(wanted, got, strict=True)), default=0.0)


def _relative(name: str, wanted: Any, got: Any) -> float:
    if not isinstance(wanted, Tensor) or got is None:
        return 0.0
    if wanted.shape != got.shape:
        raise ConstructionError(
            f"{name}: an output of shape {tuple(wanted.shape)} was expected, {tuple(got.shape)} came"
        )
    if not wanted.numel():
        return 0.0
    scale = float(wanted.abs().max())
    if not isfinite(scale):
        raise ConstructionError(
            f"{name}: the full network's own output is not finite for random inputs; pass `inputs=`"
        )
    difference = float((wanted.double() - got.double()).abs().max())
    if not isfinite(difference):
        return inf
    return difference / scale if scale else difference
