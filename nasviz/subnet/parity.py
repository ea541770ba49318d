"""Parity: the full network with its redundant groups at zero against the sub-network, in numbers.

Three checks, each over every output and relative to its largest value: evaluation mode with the running
statistics as they are; evaluation mode with statistics drawn at random, the same in both, because statistics
that were never trained hide wrong channels; training mode with dropouts off. The effect is the same distance
between the full network and the zeroed one: where it is tiny, agreement says little. It is measured in the
first check, and in the others only where it is faint there. In a network of much work it is first tried with
one structure back, the one nearest to the outputs, whose way is short; unless that moves them, all come back.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils import _pytree as pytree

from nasviz.errors import ConstructionError, InputError
from nasviz.graph import ConstructionPlan, Slice, TraceGraph
from nasviz.subnet.cached_execution import Memory, run
from nasviz.subnet.parity_inputs import Probe, probes
from nasviz.subnet.program import Program
from nasviz.subnet.slice import cut
from nasviz.subnet.zero import drawn_weights, named_tensors
from nasviz.trace.leaves import BatchNormCall, OutputForm
from nasviz.trace.state import borrowed

__all__ = ["Check", "Networks", "Return", "check_parity", "precision", "tolerance"]

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
    effect_of: tuple[int, ...] = ()
    """Structures that came back to measure the effect; empty: everything that went."""


@dataclass(frozen=True)
class Return:
    """A part of what went that comes back, to see whether it moves the outputs."""

    structures: tuple[int, ...]
    still: Mapping[str, Tensor]
    """What stays at zero in the full network, by name; empty: everything comes back."""


@dataclass(frozen=True)
class Networks:
    """What is compared; tensors may be shared."""

    net: fx.GraphModule
    """The full network, its redundant groups as they are."""
    zeros: Mapping[str, Tensor]
    """What replaces its tensors in the zeroed network, by name."""
    small: fx.GraphModule
    lively: fx.GraphModule
    """The full network, its redundant groups anything but zero."""
    returns: tuple[Return, ...] = (Return((), {}),)
    """What comes back into it to measure the effect: the next one where the first moves nothing."""
    silent: tuple[str, ...] = ()
    """Those of `zeros` that are zero from end to end."""
    drawn: Mapping[str, Tensor] = field(default_factory=dict)
    """What replaces tensors in all of them, by name."""

    def double(self) -> Networks:
        """Copies in double precision."""
        net, small = (copy.deepcopy(net).double() for net in (self.net, self.small))
        lively = net if self.lively is self.net else copy.deepcopy(self.lively).double()
        returns = tuple(Return(r.structures, _doubled(dict(r.still))) for r in self.returns)
        drawn = _doubled(dict(self.drawn))
        return Networks(net, _doubled(dict(self.zeros)), small, lively, returns, self.silent, drawn)

    def with_weights(self, plan: ConstructionPlan, trace: TraceGraph, seed: int) -> Networks:
        """The same with random weights for every matrix of zeros that the plan leaves as it is."""
        touched = {piece.tensor for piece in plan.slices} | self.zeros.keys()
        touched |= {name for fold in plan.folds for name in trace[fold.vertex].parameters}
        drawn = drawn_weights(self.net, touched, seed)
        return replace(
            self, drawn={name: t for name, t in drawn.items() if name in named_tensors(self.small)}
        )


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
    thorough: bool = False,
) -> tuple[Check, ...]:
    """Compare three networks; weights, buffers and modes of all of them stay as they were.

    A network that returns zeros alone, such as a fresh ViT, whose head is zero, would agree with anything:
    it gets random weights in the place of its matrices of zeros. Batch statistics over few, nearly equal
    values blow rounding up. So where single precision disagrees by
    more than its tolerance, double precision decides, and the checks carry its numbers.

    Raises:
        ConstructionError: Outputs differ in number or shape, or are not finite.
    """
    modes = probes(networks.net, trace, inputs=inputs, seed=seed, thorough=thorough)
    memory = Memory()
    small = Program(networks.small)
    if _says_nothing(small, modes[0], memory):
        networks = networks.with_weights(plan, trace, seed)
        small = Program(networks.small, networks.drawn, like=small)
    checks = _checks(networks, small, modes, plan.slices, memory)
    dtype = precision(networks.net)
    if dtype != torch.float32 or max(c.relative_error for c in checks) <= tolerance(dtype):
        return checks
    wide = [
        Probe(f"{mode.name} in double precision", *(_doubled(part) for part in mode[1:])) for mode in modes
    ]
    networks = networks.double()
    decided = _checks(networks, Program(networks.small, networks.drawn), wide, plan.slices, Memory())
    is_rounding = max(c.relative_error for c in decided) <= tolerance(torch.float64)
    return decided if is_rounding else checks


def _doubled(value: Any) -> Any:
    return pytree.tree_map_only(Tensor, lambda t: t.double() if t.is_floating_point() else t, value)


def _says_nothing(small: Program, mode: Probe, memory: Memory) -> bool:
    """Whether all that the sub-network returns is zero."""
    answers = _answers(small, mode, memory, {}, remember=True)
    return not any(bool(answer.any()) for answer in answers if isinstance(answer, Tensor))


def _checks(
    networks: Networks, small: Program, modes: Sequence[Probe], slices: Sequence[Slice], memory: Memory
) -> tuple[Check, ...]:
    """The comparisons; `memory` may hold calls of the sub-network `small` in the first mode."""
    zeroed = Program(networks.net, {**networks.drawn, **networks.zeros}, networks.silent)
    checks: list[Check] = []
    effect = 0.0
    for mode in modes:
        if mode.is_training and not _knows_mode(networks.net):  # then training is evaluation
            checks.append(replace(checks[0], name=mode.name))
            continue
        if checks:  # with other statistics nearly everything comes out differently
            memory = Memory()
        pieces = {
            name: cut(value, [piece for piece in slices if piece.tensor == name])
            for name, value in mode.statistics.items()
        }
        try:
            got = _answers(small, mode, memory, pieces, remember=True)
            wanted = _answers(zeroed, mode, memory, mode.statistics)
        except (RuntimeError, InputError):
            if mode.spare is None:
                raise
            mode, memory = mode._replace(fed=mode.spare), Memory()  # sizes stand in the graph
            got = _answers(small, mode, memory, pieces, remember=True)
            wanted = _answers(zeroed, mode, memory, mode.statistics)
        found: float | None = None
        of: tuple[int, ...] = ()
        for back in networks.returns if effect < _FAINT else ():
            answers = _answers(_with(networks, back, zeroed), mode, memory, mode.statistics)
            found, of = _distance(mode.name, answers, wanted), back.structures
            effect = max(effect, found)
            if effect >= _FAINT:
                break
        checks.append(Check(mode.name, _distance(mode.name, wanted, got), found, of))
    return tuple(checks)


def _with(networks: Networks, back: Return, zeroed: Program) -> Program:
    """The full network with `back` back in it."""
    silent = [name for name in networks.silent if name in back.still]
    return Program(networks.lively, {**networks.drawn, **back.still}, silent, zeroed)


def _knows_mode(net: nn.Module) -> bool:
    """Whether anything but random numbers differs between training and evaluation."""
    return any(
        isinstance(module, _NormBase | BatchNormCall)
        or (isinstance(module, OutputForm) and module.train_form is not module.eval_form)
        for module in net.modules()
    )


@torch.no_grad()
def _answers(
    program: Program,
    mode: Probe,
    memory: Memory,
    statistics: Mapping[str, Tensor],
    *,
    remember: bool = False,
) -> list[Any]:
    """Outputs of a network in one mode."""
    with borrowed(program.net), _full_precision():
        for module in program.modules():  # what drops at random stays in evaluation mode
            is_kept = isinstance(module, _NormBase | BatchNormCall | OutputForm | fx.GraphModule)
            module.training = mode.is_training and is_kept
        for name, buffer in program.net.named_buffers() if statistics else ():
            if name in statistics:
                buffer.copy_(statistics[name])
        return pytree.tree_leaves(run(program, mode.fed, memory, remember=remember))


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
    wide = torch.complex128 if wanted.is_complex() else torch.float64
    difference = float((wanted.to(wide) - got.to(wide)).abs().max())
    if not isfinite(difference):
        return inf
    return difference / scale if scale else difference
