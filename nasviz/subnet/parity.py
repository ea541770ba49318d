"""Parity: the full network with its redundant groups at zero against the sub-network.

Three checks compare every output relative to its largest value: evaluation mode with the given running
statistics; evaluation mode with random statistics, equal in both, because untrained statistics hide wrong
channels; training mode without dropout. The effect is the same distance between the full network and the
zeroed one: if it is tiny, agreement proves little. It is measured in the first check, and in later ones only
while it is faint. For a network of many MACs it is first measured with one structure restored, the one
nearest to the outputs, whose path is short; if that does not move them, all are restored.
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
from nasviz.subnet.cached_execution import CallCache, run
from nasviz.subnet.parity_cases import ParityCase, parity_cases
from nasviz.subnet.program import Program
from nasviz.subnet.slice import cut
from nasviz.subnet.zero import named_tensors, random_weights
from nasviz.trace.leaves import BatchNormCall, OutputForm
from nasviz.trace.state import preserve_state

__all__ = ["Check", "Networks", "RestoredPart", "check_parity", "precision", "tolerance"]

_FAINT = 1e-3
"""Effect below which all checks measure it: an auxiliary head, for example, acts in training mode only."""


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison."""

    name: str
    relative_error: float
    """Zeroed full network against sub-network, over the largest value of the former."""
    effect: float | None
    """Full network against zeroed full network, over the largest value of the former, if measured."""
    effect_of: tuple[int, ...] = ()
    """Structures restored to measure the effect; empty: all that were removed."""


@dataclass(frozen=True)
class RestoredPart:
    """A removed part that is restored to measure its effect on the outputs."""

    structures: tuple[int, ...]
    zeros_left: Mapping[str, Tensor]
    """Tensors that stay at zero in the full network, by name; empty: everything is restored."""


@dataclass(frozen=True)
class Networks:
    """Networks to compare; they may share tensors."""

    net: fx.GraphModule
    """Full network with its redundant groups as they are."""
    zeros: Mapping[str, Tensor]
    """Tensors of the zeroed network that replace those of `net`, by name."""
    small: fx.GraphModule
    randomized: fx.GraphModule
    """Full network with nonzero redundant groups."""
    restored: tuple[RestoredPart, ...] = (RestoredPart((), {}),)
    """Restored parts to measure the effect with; the next one is used if the first moves nothing."""
    silent: tuple[str, ...] = ()
    """Names in `zeros` of entirely zero tensors."""
    drawn: Mapping[str, Tensor] = field(default_factory=dict)
    """Random tensors that replace tensors in all networks, by name."""

    def double(self) -> Networks:
        """Return copies in double precision."""
        net, small = (copy.deepcopy(net).double() for net in (self.net, self.small))
        randomized = net if self.randomized is self.net else copy.deepcopy(self.randomized).double()
        restored = tuple(RestoredPart(r.structures, _doubled(dict(r.zeros_left))) for r in self.restored)
        drawn = _doubled(dict(self.drawn))
        return Networks(net, _doubled(dict(self.zeros)), small, randomized, restored, self.silent, drawn)

    def with_weights(self, plan: ConstructionPlan, trace: TraceGraph, seed: int) -> Networks:
        """Return the networks with random weights for every zero matrix that the plan leaves unchanged."""
        touched = {piece.tensor for piece in plan.slices} | self.zeros.keys()
        touched |= {name for fold in plan.folds for name in trace[fold.vertex].parameters}
        drawn = random_weights(self.net, touched, seed)
        return replace(
            self, drawn={name: t for name, t in drawn.items() if name in named_tensors(self.small)}
        )


def precision(net: nn.Module) -> torch.dtype:
    """Return the floating-point dtype of a network's parameters."""
    return next((p.dtype for p in net.parameters() if p.is_floating_point()), torch.get_default_dtype())


def tolerance(dtype: torch.dtype) -> float:
    """Return the relative error above which two networks of this dtype count as different."""
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
    """Compare three networks; weights, buffers and modes of all of them are restored.

    A network that returns only zeros, such as a fresh ViT with its zero head, would agree with anything, so
    its zero matrices are replaced by random ones. Batch statistics over few, nearly equal values amplify
    rounding: if single precision disagrees by more than its tolerance, double precision decides, and its
    numbers are returned.

    Raises:
        ConstructionError: Outputs differ in number or shape, or are not finite.
    """
    cases = parity_cases(networks.net, trace, inputs=inputs, seed=seed, thorough=thorough)
    cache = CallCache()
    small = Program(networks.small)
    if _returns_only_zeros(small, cases[0], cache):
        networks = networks.with_weights(plan, trace, seed)
        small = Program(networks.small, networks.drawn, like=small)
    checks = _checks(networks, small, cases, plan.slices, cache)
    dtype = precision(networks.net)
    if dtype != torch.float32 or max(c.relative_error for c in checks) <= tolerance(dtype):
        return checks
    wide = [
        ParityCase(f"{case.name} in double precision", *(_doubled(part) for part in case[1:]))
        for case in cases
    ]
    networks = networks.double()
    decided = _checks(networks, Program(networks.small, networks.drawn), wide, plan.slices, CallCache())
    is_rounding = max(c.relative_error for c in decided) <= tolerance(torch.float64)
    return decided if is_rounding else checks


def _doubled(value: Any) -> Any:
    return pytree.tree_map_only(Tensor, lambda t: t.double() if t.is_floating_point() else t, value)


def _returns_only_zeros(small: Program, case: ParityCase, cache: CallCache) -> bool:
    """Return whether all outputs of the sub-network are zero."""
    outputs = _outputs(small, case, cache, {}, store=True)
    return not any(bool(answer.any()) for answer in outputs if isinstance(answer, Tensor))


def _checks(
    networks: Networks,
    small: Program,
    cases: Sequence[ParityCase],
    slices: Sequence[Slice],
    cache: CallCache,
) -> tuple[Check, ...]:
    """Return the comparisons; `cache` may hold calls of the sub-network `small` in the first case."""
    zeroed = Program(networks.net, {**networks.drawn, **networks.zeros}, networks.silent)
    checks: list[Check] = []
    effect = 0.0
    for case in cases:
        if case.is_training and not _depends_on_mode(networks.net):  # equals evaluation mode
            checks.append(replace(checks[0], name=case.name))
            continue
        if checks:  # other statistics change nearly every value: cached calls are useless
            cache = CallCache()
        pieces = {
            name: cut(value, [piece for piece in slices if piece.tensor == name])
            for name, value in case.statistics.items()
        }
        try:
            got = _outputs(small, case, cache, pieces, store=True)
            wanted = _outputs(zeroed, case, cache, case.statistics)
        except (RuntimeError, InputError):
            if case.full_size is None:
                raise
            # The graph holds sizes as literals.
            case, cache = case._replace(inputs=case.full_size), CallCache()
            got = _outputs(small, case, cache, pieces, store=True)
            wanted = _outputs(zeroed, case, cache, case.statistics)
        found: float | None = None
        of: tuple[int, ...] = ()
        for part in networks.restored if effect < _FAINT else ():
            outputs = _outputs(_restore(networks, part, zeroed), case, cache, case.statistics)
            found, of = _difference(case.name, outputs, wanted), part.structures
            effect = max(effect, found)
            if effect >= _FAINT:
                break
        checks.append(Check(case.name, _difference(case.name, wanted, got), found, of))
    return tuple(checks)


def _restore(networks: Networks, part: RestoredPart, zeroed: Program) -> Program:
    """Return the full network with `part` restored."""
    silent = [name for name in networks.silent if name in part.zeros_left]
    return Program(networks.randomized, {**networks.drawn, **part.zeros_left}, silent, zeroed)


def _depends_on_mode(net: nn.Module) -> bool:
    """Return whether training and evaluation mode differ in more than random numbers."""
    return any(
        isinstance(module, _NormBase | BatchNormCall)
        or (isinstance(module, OutputForm) and module.train_form is not module.eval_form)
        for module in net.modules()
    )


@torch.no_grad()
def _outputs(
    program: Program,
    case: ParityCase,
    cache: CallCache,
    statistics: Mapping[str, Tensor],
    *,
    store: bool = False,
) -> list[Any]:
    """Return the outputs of a network in one case."""
    with preserve_state(program.net), _full_precision():
        for module in program.modules():  # dropout and similar modules stay in evaluation mode
            is_kept = isinstance(module, _NormBase | BatchNormCall | OutputForm | fx.GraphModule)
            module.training = case.is_training and is_kept
        for name, buffer in program.net.named_buffers() if statistics else ():
            if name in statistics:
                buffer.copy_(statistics[name])
        return pytree.tree_leaves(run(program, case.inputs, cache, store=store))


@contextmanager
def _full_precision() -> Iterator[None]:
    """Disable TensorFloat-32 within the context: its rounding would look like errors."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def _difference(name: str, wanted: Sequence[Any], got: Sequence[Any]) -> float:
    """Return the largest difference over all outputs, each relative to its own largest value."""
    if len(wanted) != len(got):
        raise ConstructionError(f"{name}: expected {len(wanted)} outputs, got {len(got)}")
    return max((_relative(name, w, g) for w, g in zip(wanted, got, strict=True)), default=0.0)


def _relative(name: str, wanted: Any, got: Any) -> float:
    if not isinstance(wanted, Tensor) or got is None:
        return 0.0
    if wanted.shape != got.shape:
        raise ConstructionError(
            f"{name}: expected an output of shape {tuple(wanted.shape)}, got {tuple(got.shape)}"
        )
    if not wanted.numel():
        return 0.0
    scale = float(wanted.abs().max())
    if not isfinite(scale):
        raise ConstructionError(
            f"{name}: the output of the full network is not finite for random inputs; pass `inputs=`"
        )
    wide = torch.complex128 if wanted.is_complex() else torch.float64
    difference = float((wanted.to(wide) - got.to(wide)).abs().max())
    if not isfinite(difference):
        return inf
    return difference / scale if scale else difference
