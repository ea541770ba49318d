"""Construct the sub-network: a copy of the network without its redundant structures (ASGNAS, section 3.3).

`SearchSpace.plan` says what is to be done; here it is done to a copy, and the result is measured against the
full network with its redundant groups at zero. The network that was handed in stays as it is.
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
from nasviz.subnet import parity_inputs
from nasviz.subnet.doubts import not_zero_yet, what_went
from nasviz.subnet.erase import drop_operands_, drop_outputs_
from nasviz.subnet.feed import remember_inputs
from nasviz.subnet.fold import fold_constants_
from nasviz.subnet.gather import insert_gathers_
from nasviz.subnet.parity import Check, Networks, Return, check_parity, precision, tolerance
from nasviz.subnet.report import Report, report
from nasviz.subnet.scatter_zeros import insert_fills_
from nasviz.subnet.simplify import allow_any_layout_, delete_dead_code_, without_unused_modules
from nasviz.subnet.slice import cut_tensors_, retype_
from nasviz.subnet.zero import (
    own_tensors_,
    shallow_copy,
    with_lively_group,
    zero_channels,
    zero_structures,
    zero_tensors,
)
from nasviz.trace.network import require_traced

__all__ = ["Subnetwork", "carry_out", "construct"]


@dataclass(frozen=True)
class Subnetwork:
    """A sub-network with the account of its construction."""

    module: fx.GraphModule
    """Trains, saves, exports; can be traced and searched again."""
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
        net: The traced network; it is left as it was.
        space: Its search space.
        erased: Ids of removal structures; left out, those whose switch, or whose parameters all, are
            exactly zero. An average of weights (EMA) has next to no zeros: give `optimizer.selected` there.
            What is given is taken as zero, whatever it is in `net`; `report.effect` measures the difference.
        gates: Ids of gates to replace by their value at zero (see `SearchSpace.gates`).
        channels: Ids of channel groups to cut (see `SearchSpace.channels`). Left out together with `erased`,
            those that are exactly zero; left out alone, none.
        inputs: What the parity checks feed: a tensor, a tuple of arguments or a dict of keyword arguments.
            Left out, seeded random tensors of the shapes that the network was traced with, one sample or
            two.
        seed: Of the random inputs and statistics of the parity checks.
        thorough: Spend as much on a network of more than two billion multiply-accumulates as on any. Else
            its effect is measured with one structure back, and all the others only if that does not move
            the outputs; and the checks after the first feed images of half the height and width, where the
            network takes such.

    Raises:
        InvalidSparsityError: The structures may not go together.
        ConstructionError: `net` does not fit `space`, or the sub-network is not exact.

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
    doubt = not_zero_yet(net, space, plan) if erased is None else None
    if doubt:
        warnings.warn(doubt, NothingZeroWarning, stacklevel=2)
    group = space.group(plan.selected, plan.gates, plan.channels)
    zeros = zero_tensors(net, group)
    small = carry_out(shallow_copy(net, zeros), space.trace, plan)
    _check_promise(small, plan)
    lively = with_lively_group(net, space, plan.selected, plan.gates, plan.channels, seed=seed)
    returns = [] if thorough else _returns(lively, space, plan)
    networks = Networks(net, zeros, small, lively, (*returns, Return((), {})), group.tensors)
    checks = check_parity(networks, space.trace, plan, inputs=inputs, seed=seed, thorough=thorough)
    if max(check.relative_error for check in checks) > tolerance(precision(net)):
        raise ConstructionError(_inexact(plan, checks))
    own_tensors_(small, net)
    found = report(plan, checks, net, small)
    notes = (doubt, what_went(net, group, found.effect) if lively is net else None)
    return Subnetwork(small, replace(found, notes=tuple(note for note in notes if note)), plan)


def _plan(
    net: fx.GraphModule,
    space: SearchSpace,
    erased: Iterable[int] | None,
    gates: Iterable[int],
    channels: Iterable[int] | None,
) -> ConstructionPlan:
    """What is to be done; where nobody says, the weights tell what is zero."""
    if channels is None and erased is not None:
        channels = ()
    ids = zero_structures(net, space) if erased is None else tuple(erased)
    return space.plan(ids, gates, zero_channels(net, space, ids) if channels is None else channels)


def _returns(lively: fx.GraphModule, space: SearchSpace, plan: ConstructionPlan) -> list[Return]:
    """In a network of much work: the structure nearest to the outputs, by itself."""
    if plan.macs_before <= parity_inputs.MUCH_WORK or not plan.selected or plan.gates or plan.channels:
        return []
    last = max(plan.selected, key=lambda i: space.trace.places[space.segments[i].vertices[-1]])
    others = [i for i in plan.selected if i != last]
    if not others or not space.is_valid(others):
        return []
    return [Return((last,), zero_tensors(lively, space.group(others)))]


def carry_out(net: fx.GraphModule, trace: TraceGraph, plan: ConstructionPlan) -> fx.GraphModule:
    """Do to `net` what `plan` says; `net` is used up. Nothing is set to zero and nothing measured."""
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
    remember_inputs(small, trace.inputs)
    return small


def _check_fit(net: fx.GraphModule, trace: TraceGraph) -> None:
    """Refuse a network that is not the one of the search space."""
    nodes = {node.name for node in net.graph.nodes}
    if lost := [v.id for v in trace if v.id not in nodes]:
        raise ConstructionError(
            f"{len(lost)} vertices of the search space are no nodes of the network ({', '.join(lost[:3])}); "
            "construct from the traced network that the search space was made from"
        )
    shapes = {name: tuple(p.shape) for name, p in net.named_parameters()}
    for name, shape in trace.parameter_shapes.items():
        if shapes.get(name) != tuple(shape):
            raise ConstructionError(
                f"the search space knows {name} with shape {tuple(shape)}, the network {shapes.get(name)}; "
                "construct from the traced network that the search space was made from"
            )


def _check_promise(small: fx.GraphModule, plan: ConstructionPlan) -> None:
    """The result must be what the plan predicted."""
    if left := [node.name for node in small.graph.nodes if node.name in plan.erased]:
        raise ConstructionError(f"erased vertices are still needed: {', '.join(left[:5])}")
    params = sum(parameter.numel() for parameter in small.parameters())
    if params != plan.params_after:
        raise ConstructionError(
            f"the plan promises {plan.params_after:,} parameters, the sub-network has {params:,}"
        )


def _inexact(plan: ConstructionPlan, checks: tuple[Check, ...]) -> str:
    numbers = "; ".join(f"{check.name} {check.relative_error:.1e}" for check in checks)
    return (
        f"the sub-network without structures {list(plan.selected)} and {len(plan.channels)} channel groups"
        f" differs from the network with these at zero by more than rounding: {numbers} (relative to the"
        f" largest output)"
    )
