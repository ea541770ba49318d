"""Parity: the full network with its redundant groups at zero against the sub-network, in numbers.

Three checks, each over every output and relative to its largest value: evaluation mode with the running
statistics as they are; evaluation mode with statistics drawn at random, the same in both, because statistics
that were never trained hide wrong channels; training mode with dropouts off. The effect is the same distance
between the full network and the zeroed one: where it is tiny, agreement says little. It is measured in the
first check, and in the others only where it is faint there.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf, isfinite, prod
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils import _pytree as pytree

from nasviz.errors import ConstructionError
from nasviz.graph import ConstructionPlan, Slice, TraceGraph
from nasviz.subnet.feed import arguments, example_inputs
from nasviz.subnet.lockstep import Memory, run
from nasviz.subnet.slice import cut
from nasviz.subnet.zero import named_tensors
from nasviz.trace.leaves import BatchNormCall, OutputForm
from nasviz.trace.state import borrowed

__all__ = ["Check", "Networks", "check_parity", "precision", "tolerance"]

_FEW = 8
"""Batch statistics are taken over so many numbers at least, where the batch has a say in it."""
_FAINT = 1e-3
"""An effect below this is looked for in all checks: an auxiliary head shows in training mode only."""


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison."""

    name: str
    relative_error: float
    """Zeroed full network against sub-network, over the largest value of the former."""
    effect: float | None
    """Full network against zeroed full network, over the largest value of the former, where measured."""


class Networks(NamedTuple):
    """What is compared; tensors may be shared."""

    full: fx.GraphModule
    zeroed: fx.GraphModule
    small: fx.GraphModule
    zeros: tuple[str, ...] = ()
    """Parameters that are zero in `zeroed`, by name."""

    def double(self) -> Networks:
        """Copies in double precision."""
        full, zeroed, small = (copy.deepcopy(net).double() for net in self[:3])
        return Networks(full, zeroed, small, self.zeros)


class _Mode(NamedTuple):
    """In which state networks are compared, and for which arguments."""

    name: str
    fed: tuple[Any, ...]
    is_training: bool = False
    statistics: Mapping[str, Tensor] = MappingProxyType({})


def precision(net: nn.Module) -> torch.dtype:
    """The floating type of a network's parameters."""
    return next((p.dtype for p in net.parameters() if p.is_floating_point()), torch.get_default_dtype())


def tolerance(dtype: torch.dtype) -> float:
    """The relative error above which two networks of this precision count as different."""
    return {torch.float64: 1e-9, torch.float32: 1e-4}.get(dtype, 0.05)


def check_parity(
    networks: Networks,
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
    modes = _modes(networks.full, trace, inputs, seed)
    checks = _checks(networks, modes, plan.slices)
    dtype = precision(networks.full)
    if dtype != torch.float32 or max(c.relative_error for c in checks) <= tolerance(dtype):
        return checks
    wide = [
        _Mode(f"{mode.name} in double precision", *(_doubled(part) for part in mode[1:])) for mode in modes
    ]
    decided = _checks(networks.double(), wide, plan.slices)
    is_rounding = max(c.relative_error for c in decided) <= tolerance(torch.float64)
    return decided if is_rounding else checks


def _doubled(value: Any) -> Any:
    return pytree.tree_map_only(Tensor, lambda t: t.double() if t.is_floating_point() else t, value)


def _modes(full: fx.GraphModule, trace: TraceGraph, inputs: Any, seed: int) -> list[_Mode]:
    """The checks to be made, and what they feed."""
    statistics = _random_statistics(full, seed)
    few = many = inputs
    if inputs is None:
        few, many = (example_inputs(full, trace.inputs, batch=n, seed=seed) for n in _batches(trace))
    modes = [_Mode("evaluation", arguments(full, few))]
    if statistics:
        modes.append(_Mode("evaluation with random statistics", arguments(full, few), False, statistics))
    return [*modes, _Mode("training", arguments(full, many), True)]


def _batches(trace: TraceGraph) -> tuple[int, int]:
    """Samples to feed in evaluation and in training: one, or two where one would be a case of its own."""
    if any(v.operator == "squeeze" for v in trace):
        return 2, 2
    sizes = [prod(abs(size) for size in v.shape[2:]) for v in trace if v.operator == "batch_norm"]
    return 1, 2 if min(sizes, default=_FEW) < _FEW else 1


def _checks(networks: Networks, modes: Sequence[_Mode], slices: Sequence[Slice]) -> tuple[Check, ...]:
    checks: list[Check] = []
    memory, effect = Memory(), 0.0
    for mode in modes:
        if mode.is_training and not _knows_mode(networks.full):  # then training is evaluation
            checks.append(replace(checks[0], name=mode.name))
            continue
        if checks:  # with other statistics nearly everything comes out differently
            memory = Memory()
        pieces = {
            name: cut(value, [piece for piece in slices if piece.tensor == name])
            for name, value in mode.statistics.items()
        }
        got = _answers(networks.small, mode, memory, pieces, remember=True)
        wanted = _answers(networks.zeroed, mode, memory, mode.statistics, zeros=networks.zeros)
        found = None
        if effect < _FAINT:
            found = _distance(mode.name, _answers(networks.full, mode, memory, mode.statistics), wanted)
            effect = max(effect, found)
        checks.append(Check(mode.name, _distance(mode.name, wanted, got), found))
    return tuple(checks)


def _knows_mode(net: nn.Module) -> bool:
    """Whether anything but random numbers differs between training and evaluation."""
    return any(
        isinstance(module, _NormBase | BatchNormCall)
        or (isinstance(module, OutputForm) and module.train_form is not module.eval_form)
        for module in net.modules()
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
def _answers(
    net: fx.GraphModule,
    mode: _Mode,
    memory: Memory,
    statistics: Mapping[str, Tensor],
    *,
    remember: bool = False,
    zeros: tuple[str, ...] = (),
) -> list[Any]:
    """Outputs of `net` in one mode."""
    with borrowed(net), _full_precision():
        for module in net.modules():  # what drops at random stays in evaluation mode
            is_kept = isinstance(module, _NormBase | BatchNormCall | OutputForm | fx.GraphModule)
            module.training = mode.is_training and is_kept
        for name, buffer in net.named_buffers():
            if name in statistics:
                buffer.copy_(statistics[name])
        return pytree.tree_leaves(run(net, mode.fed, memory, remember=remember, zeros=zeros))


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
