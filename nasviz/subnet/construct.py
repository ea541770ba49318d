"""Construction of the sub-network: a copy of the network without its redundant structures (ASGNAS, 3.3).

`SearchSpace.plan` decides on the changes; they are applied here to a copy, and the result is compared with
the full network with its redundant groups at zero. The given network is not modified.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch import fx

from nasviz.errors import ConstructionError, NothingZeroWarning, require_type
from nasviz.graph import ConstructionPlan, SearchSpace, TraceGraph
from nasviz.graph.space import require_space
from nasviz.subnet import parity_cases
from nasviz.subnet.erase import drop_operands_, drop_outputs_
from nasviz.subnet.fold import fold_constants_
from nasviz.subnet.gather import insert_gathers_
from nasviz.subnet.network_inputs import record_inputs
from nasviz.subnet.parity import Check, Networks, RestoredPart, check_parity, precision, tolerance
from nasviz.subnet.report import Report, report
from nasviz.subnet.scatter_zeros import insert_fills_
from nasviz.subnet.simplify import allow_any_layout_, delete_dead_code_, without_unused_modules
from nasviz.subnet.slice import cut_tensors_, retype_
from nasviz.subnet.zero import (
    randomize_zero_group,
    shallow_copy,
    unshare_tensors_,
    zero_channels,
    zero_structures,
    zero_tensors,
)
from nasviz.subnet.zero_warnings import missing_zeros_warning, nonzero_removal_note
from nasviz.trace.network import require_traced

__all__ = ["Subnetwork", "apply_plan", "construct"]


@dataclass(frozen=True)
class Subnetwork:
    """A sub-network with the report of its construction."""

    module: fx.GraphModule
    """Network that trains, saves and exports, and can be traced and searched again."""
    report: Report
    plan: ConstructionPlan


def construct(
    net: fx.GraphModule,
    space: SearchSpace,
    erased: Iterable[int] | None = None,
    *,
    gates: Iterable[int] = (),
    channels: Iterable[int] | None = None,
    inputs: Any = None,
    seed: int = 0,
    thorough: bool = False,
) -> Subnetwork:
    """Construct the network that computes what `net` computes with the groups of `erased` at zero.

    Args:
        net: Traced network; it is not modified.
        space: Its search space.
        erased: Ids of removal structures. By default, those whose switch, or all of whose parameters, are
            exactly zero. Averaged weights (EMA) are rarely exactly zero: pass `optimizer.selected` there.
            Given structures are treated as zero whatever their value; `report.effect` measures the
            difference.
        gates: Ids of gates to replace by their value at zero (see `SearchSpace.gates`).
        channels: Ids of channel groups to slice off (see `SearchSpace.channels`). By default none, or
            those that are exactly zero if `erased` is left out too.
        inputs: Inputs of the parity checks: a tensor, a tuple of arguments or a dict of keyword arguments. By
            default, one or two seeded random samples of the traced shapes.
        seed: Seed of the random inputs and statistics of the parity checks.
        thorough: Check networks of more than two billion multiply-accumulates as thoroughly as small ones. By
            default, their effect is measured with one structure restored, and with all others only if that
            does not move the outputs; and later checks use images of half the height and width, if possible.

    Raises:
        InvalidSparsityError: The structures cannot be removed together.
        ConstructionError: `net` does not match `space`, or the sub-network is not exact.

    Warns:
        NothingZeroWarning: `erased` is left out, and nothing is zero, or less than the optimizer selected.
    """
    require_traced(net)
    require_space(space)
    for name, ids in (("erased", erased), ("gates", gates), ("channels", channels)):
        if ids is not None:
            require_type(name, ids, Iterable, "a list of ids", f"write {name}=[{ids!r:.40}]")
    _check_fit(net, space.trace)
    plan = _plan(net, space, erased, gates, channels)
    doubt = missing_zeros_warning(net, space, plan) if erased is None else None
    if doubt:
        warnings.warn(doubt, NothingZeroWarning, stacklevel=2)
    group = space.group(plan.selected, plan.gates, plan.channels)
    zeros = zero_tensors(net, group)
    small = apply_plan(shallow_copy(net, zeros), space.trace, plan)
    _check_promise(small, plan)
    randomized = randomize_zero_group(net, space, plan.selected, plan.gates, plan.channels, seed=seed)
    restored = [] if thorough else _restored_parts(randomized, space, plan)
    networks = Networks(net, zeros, small, randomized, (*restored, RestoredPart((), {})), group.tensors)
    checks = check_parity(networks, space.trace, plan, inputs=inputs, seed=seed, thorough=thorough)
    if max(check.relative_error for check in checks) > tolerance(precision(net)):
        raise ConstructionError(_inexact(plan, checks))
    unshare_tensors_(small, net)
    found = report(plan, checks, net, small)
    notes = (doubt, nonzero_removal_note(net, group, found.effect) if randomized is net else None)
    return Subnetwork(small, replace(found, notes=tuple(note for note in notes if note)), plan)


def _plan(
    net: fx.GraphModule,
    space: SearchSpace,
    erased: Iterable[int] | None,
    gates: Iterable[int],
    channels: Iterable[int] | None,
) -> ConstructionPlan:
    """Return the plan; by default the zeros of the weights decide what is removed."""
    if channels is None and erased is not None:
        channels = ()
    ids = zero_structures(net, space) if erased is None else tuple(erased)
    return space.plan(ids, gates, zero_channels(net, space, ids) if channels is None else channels)


def _restored_parts(
    randomized: fx.GraphModule, space: SearchSpace, plan: ConstructionPlan
) -> list[RestoredPart]:
    """Return the structure nearest to the outputs, restored by itself, for a network of many MACs."""
    if plan.macs_before <= parity_cases.LARGE_MACS or not plan.selected or plan.gates or plan.channels:
        return []
    last = max(plan.selected, key=lambda i: space.trace.places[space.segments[i].vertices[-1]])
    others = [i for i in plan.selected if i != last]
    if not others or not space.is_valid(others):
        return []
    return [RestoredPart((last,), zero_tensors(randomized, space.group(others)))]


def apply_plan(net: fx.GraphModule, trace: TraceGraph, plan: ConstructionPlan) -> fx.GraphModule:
    """Apply `plan` to `net`, which is consumed. Nothing is set to zero and nothing is measured."""
    # Gathers and fills read joints, so they come before joints are bypassed; tensors are sliced last.
    insert_gathers_(net, plan)
    insert_fills_(net, trace, plan)
    drop_operands_(net.graph, trace, plan)
    drop_outputs_(net, trace, plan)
    fold_constants_(net, trace, plan)
    cut_tensors_(net, plan)
    retype_(net, trace, plan)
    delete_dead_code_(net.graph)
    allow_any_layout_(net.graph)
    small = without_unused_modules(net)
    record_inputs(small, trace.inputs)
    return small


def _check_fit(net: fx.GraphModule, trace: TraceGraph) -> None:
    """Reject a network that is not the one of the search space."""
    nodes = {node.name for node in net.graph.nodes}
    if lost := [v.id for v in trace if v.id not in nodes]:
        raise ConstructionError(
            f"{len(lost)} vertices of the search space are missing in the network ({', '.join(lost[:3])}); "
            "construct from the traced network that the search space was made from"
        )
    shapes = {name: tuple(p.shape) for name, p in net.named_parameters()}
    for name, shape in trace.parameter_shapes.items():
        if shapes.get(name) != tuple(shape):
            raise ConstructionError(
                f"{name} has shape {tuple(shape)} in the search space and {shapes.get(name)} in the network; "
                "construct from the traced network that the search space was made from"
            )


def _check_promise(small: fx.GraphModule, plan: ConstructionPlan) -> None:
    """Check that the result is what the plan predicted."""
    if left := [node.name for node in small.graph.nodes if node.name in plan.erased]:
        raise ConstructionError(f"erased vertices are still needed: {', '.join(left[:5])}")
    params = sum(parameter.numel() for parameter in small.parameters())
    if params != plan.params_after:
        raise ConstructionError(
            f"the plan predicts {plan.params_after:,} parameters, but the sub-network has {params:,}"
        )


def _inexact(plan: ConstructionPlan, checks: tuple[Check, ...]) -> str:
    numbers = "; ".join(f"{check.name} {check.relative_error:.1e}" for check in checks)
    return (
        f"the sub-network without structures {list(plan.selected)} and {len(plan.channels)} channel groups"
        f" differs from the network with these at zero by more than rounding: {numbers} (relative to the"
        f" largest output)"
    )
