"""Construction of the sub-network: a copy of the network without its redundant structures (ASGNAS, 3.3).

`SearchSpace.plan` decides on the changes; they are applied here to a copy, and the result is compared with
the full network with its redundant groups at zero. The given network is not modified. The report has the
changes, the savings and the measured exactness; warnings tell if nothing, or less than expected, is zero.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from nasviz.errors import ConstructionError, NothingZeroWarning, require_type
from nasviz.extras import data_frame, repr_html
from nasviz.graph import ConstructionPlan, Group, SearchSpace, TraceGraph, optimizer_of
from nasviz.graph.space import require_space
from nasviz.subnet import parity
from nasviz.subnet.parity import (
    Check,
    Networks,
    RestoredPart,
    check_parity,
    precision,
    record_inputs,
    tolerance,
)
from nasviz.subnet.surgery import (
    allow_any_layout_,
    cut,
    cut_tensors_,
    delete_dead_code_,
    drop_operands_,
    drop_outputs_,
    fold_constants_,
    insert_fills_,
    insert_gathers_,
    retype_,
    without_unused_modules,
)
from nasviz.subnet.zero import (
    named_tensors,
    randomize_zero_group,
    shallow_copy,
    unshare_tensors_,
    zero_channels,
    zero_structures,
    zero_tensors,
)
from nasviz.trace.network import require_traced

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = [
    "Report",
    "Subnetwork",
    "apply_plan",
    "construct",
    "missing_zeros_warning",
    "nonzero_removal_note",
    "report",
    "size_of",
]


@dataclass(frozen=True, slots=True)
class Report:
    """Changes of a construction, and its measured exactness."""

    max_relative_error: float
    """Largest error of the sub-network against the zeroed full network, over all checks."""
    effect: float
    """Largest difference of the zeroed from the full network, over all checks: how much the removal matters.

    If training has already zeroed the groups, they get random weights to measure this."""
    effect_of: tuple[int, ...]
    """Structures restored to measure the effect (one in a large network); empty: all that were removed."""
    params_before: int
    params_after: int
    macs_before: int
    macs_after: int
    bytes_before: int
    bytes_after: int
    """Size of all parameters and buffers, as in a file of weights."""
    selected: tuple[int, ...]
    orphaned: tuple[int, ...]
    """Removal structures that were removed because all their inputs were."""
    gates: tuple[int, ...]
    """Gates that were replaced by their value at zero."""
    scaled: Mapping[str, float]
    """Factor that replaces the gate of each product that lost it."""
    erased: Mapping[str, str]
    """Erased vertices, and why: `selected`, `orphaned`, `gate` or `dead end`."""
    sliced: Mapping[str, tuple[int, ...]]
    """New shape of every sliced parameter and buffer."""
    channels: tuple[int, ...]
    """Channel groups that were removed."""
    widths: Mapping[str, tuple[int, int]]
    """Number of channels before and after, for each operator that was narrowed."""
    materialised: tuple[str, ...]
    """Vertices and outputs that get zeros written back, for lack of a slicing rule."""
    folded: Mapping[str, int]
    """Linear maps and convolutions with constant channels folded into their bias, and how many."""
    gathered: tuple[str, ...]
    """Vertices that gather their remaining channels from an earlier value, as after a channel shuffle."""
    bypassed: tuple[str, ...]
    """Joints that were left with one operand."""
    lost_outputs: tuple[str, ...]
    """Optional outputs that were lost."""
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    """Notes for the caller: nothing was zero, or the removed parameters were not."""

    def __repr__(self) -> str:
        return (
            f"Report({len(self.selected) + len(self.orphaned)} structures and {len(self.channels)} channel"
            f" groups removed: {self.params_before:,} to {self.params_after:,} parameters,"
            f" {self.macs_before:,} to {self.macs_after:,} MACs, error {self.max_relative_error:.1e})"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data, ready for `json.dumps`."""
        return asdict(self)

    def rows(self) -> list[dict[str, Any]]:
        """Return parameters, MACs and bytes, before and after."""
        sizes = {
            "parameters": (self.params_before, self.params_after),
            "MACs": (self.macs_before, self.macs_after),
            "bytes": (self.bytes_before, self.bytes_after),
        }
        return [
            {"size": name, "before": before, "after": after, "saved": 1 - after / before if before else 0.0}
            for name, (before, after) in sizes.items()
        ]

    def table(self) -> DataFrame:
        """Return parameters, MACs and bytes, before and after, as a pandas data frame."""
        return data_frame(self.rows())


def size_of(net: nn.Module) -> int:
    """Return the bytes of all parameters and buffers, tied ones counted once."""
    tensors = {id(t): t for t in (*net.parameters(), *net.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def report(plan: ConstructionPlan, checks: tuple[Check, ...], full: nn.Module, small: nn.Module) -> Report:
    """Combine a plan and its measured checks with the sizes of both networks."""
    # The sub-network may hold a tensor under another of its names.
    shapes = {name: tuple(tensor.shape) for name, tensor in named_tensors(full).items()}
    sliced: dict[str, tuple[int, ...]] = {}
    for piece in plan.slices:
        before = sliced.get(piece.tensor, shapes[piece.tensor])
        left = before[piece.dim] - len(piece.rows)
        sliced[piece.tensor] = (*before[: piece.dim], left, *before[piece.dim + 1 :])
    effect, effect_of = max((c.effect, c.effect_of) for c in checks if c.effect is not None)
    return Report(
        max_relative_error=max(check.relative_error for check in checks),
        effect=effect,
        effect_of=effect_of,
        params_before=plan.params_before,
        params_after=plan.params_after,
        macs_before=plan.macs_before,
        macs_after=plan.macs_after,
        bytes_before=size_of(full),
        bytes_after=size_of(small),
        selected=plan.selected,
        orphaned=plan.orphaned,
        gates=plan.gates,
        scaled=plan.scaled,
        erased=plan.erased,
        sliced=sliced,
        channels=plan.channels,
        widths=plan.widths,
        materialised=plan.materialised,
        folded={fold.vertex: len(fold.rows) for fold in plan.folds},
        gathered=tuple(gather.vertex for gather in plan.gathers),
        bypassed=tuple(plan.bypassed),
        lost_outputs=plan.lost_outputs,
        checks=checks,
    )


def missing_zeros_warning(net: nn.Module, space: SearchSpace, plan: ConstructionPlan) -> str | None:
    """Return a warning if a construction from zeros removes less than intended, else `None`."""
    optimizer = optimizer_of(space)
    selected = tuple(optimizer.selected) if optimizer is not None else ()
    channels = tuple(getattr(optimizer, "channels", ()))
    left = [i for i in selected if i not in plan.selected and i not in plan.orphaned]
    missing = len(left) + len(set(channels).difference(plan.channels))
    if plan.selected or plan.gates or plan.channels:
        if not missing:
            return None
        found = (
            f"{missing} of {len(selected) + len(channels)} structures and channels that the optimizer chose"
            " are not zero in this network, and stay"
        )
    elif space.removable or _masks(net) or len(space.channels):
        found = "no removal structure and no channel of this network is exactly zero, so nothing is cut"
    else:
        return None
    return " ".join([found + ".", *_causes(net, optimizer, selected, channels)])


def _causes(
    net: nn.Module, optimizer: object | None, selected: tuple[int, ...], channels: tuple[int, ...]
) -> list[str]:
    """Return the likely causes and remedies, one sentence each."""
    words = []
    if optimizer is not None:
        phase = getattr(optimizer, "phase", "training")
        words.append(
            f"The optimizer of this search space is in phase {phase!r} and has selected {len(selected)}"
            f" structures and {len(channels)} channel groups."
        )
    if masks := _masks(net):
        words.append(
            f"Masks of torch.nn.utils.prune are on ({masks[0]}): make them permanent with prune.remove, and"
            " trace the network again."
        )
    if channels:
        remedy = "erased=optimizer.selected and channels=optimizer.channels"
    else:
        remedy = "erased=optimizer.selected"
    if optimizer is None or selected or channels:
        words.append(
            f"Pass {remedy} to remove what was selected as if it were zero, as for averaged weights (EMA);"
            " or erased=() to keep everything."
        )
    else:
        words.append("Train until the projection has ended; or pass erased=() to keep everything.")
    return words


def _masks(net: nn.Module) -> list[str]:
    """Return the masks that torch.nn.utils.prune has put on weights of a network."""
    tensors = named_tensors(net)
    return [n for n in tensors if n.endswith("_mask") and f"{n.removesuffix('_mask')}_orig" in tensors]


@torch.no_grad()
def nonzero_removal_note(net: nn.Module, group: Group, effect: float) -> str | None:
    """Return a note on how far from zero the removed parameters are; `None` if they are exactly zero."""
    tensors = named_tensors(net)
    parts = [tensors[name] for name in group.tensors]
    parts += [
        tensors[row.tensor].index_select(row.dim, torch.tensor(row.rows, device=tensors[row.tensor].device))
        for row in group.rows
    ]
    sizes = [part.abs().max() for part in parts if part.numel()]
    largest = float(torch.stack([size.float() for size in sizes]).max()) if sizes else 0.0
    if not largest or not effect:
        return None
    return (
        f"the removed parameters were not zero (largest entry {largest:.2g}): removing them moves the outputs"
        f" by up to {effect:.2g} of the largest one"
    )


@dataclass(frozen=True)
class Subnetwork:
    """A sub-network with the report of its construction."""

    module: fx.GraphModule
    """Network that trains, saves and exports, and can be traced and searched again."""
    report: Report
    plan: ConstructionPlan
    space: SearchSpace
    """Search space of the full network."""

    def __repr__(self) -> str:
        return f"Subnetwork({self.report!r})"

    _repr_html_ = repr_html

    def sliced(self, name: str, tensor: Tensor) -> Tensor:
        """Return `tensor` without the rows that were cut from the parameter called `name`."""
        return cut(tensor, [piece for piece in self.plan.slices if piece.tensor == name])


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
            default, seeded random samples of the traced shapes: one or two, and up to 32 of a small network
            that loses channels.
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
    randomized = randomize_zero_group(net, group, space, plan, seed=seed)
    restored = [] if thorough else _restored_parts(randomized, space, plan)
    networks = Networks(net, zeros, small, randomized, (*restored, RestoredPart((), {})), group.tensors)
    checks = check_parity(networks, space.trace, plan, inputs=inputs, seed=seed, thorough=thorough)
    if max(check.relative_error for check in checks) > tolerance(precision(net)):
        raise ConstructionError(_inexact(plan, checks))
    unshare_tensors_(small, net)
    found = report(plan, checks, net, small)
    notes = (doubt, nonzero_removal_note(net, group, found.effect) if randomized is net else None)
    return Subnetwork(small, replace(found, notes=tuple(note for note in notes if note)), plan, space)


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
    if plan.macs_before <= parity.LARGE_MACS or not plan.selected or plan.gates or plan.channels:
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
