"""GSparsity, tied to a network and its search space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from nasviz.errors import InvalidSettingError
from nasviz.graph import ChannelStructure, SearchSpace
from nasviz.graph.segments.blocks import modules_like
from nasviz.optim.binding import SpaceBinding, trained_space
from nasviz.optim.checks import require_whole
from nasviz.optim.filter_sparsity import FilterSparsity
from nasviz.optim.gsparsity import GSparsity
from nasviz.optim.penalty_search import THRESHOLD, PenaltySearch
from nasviz.optim.proxsgd import ProxSGD
from nasviz.optim.row_grouping import RowGrouping
from nasviz.optim.search_optimizer import Training
from nasviz.switches import add_switches

__all__ = ["GROUPS", "SWITCH_START", "create_gsparsity"]

GROUPS = ("operations", "filters", "channels")
"""What may be a group."""

SWITCH_START = 0.8
"""Value of the switches of operations without variables when a search begins (public code of GSparsity)."""


def create_gsparsity(
    net: nn.Module,
    space: SearchSpace,
    *,
    projection_steps: int,
    lr: float = 1e-3,
    rho: float = 0.8,
    mu: float = 1.0,
    normalisation: str = "none",
    adaptive: bool = False,
    beta: float = 0.999,
    threshold: float = THRESHOLD,
    groups: str = "operations",
    cells: Iterable[str] = (),
    emphasis: Mapping[str, float] | None = None,
) -> PenaltySearch:
    """Return GSparsity over the removal structures of a network, one group each; or over its filters.

    Operations without variables take part where they have switches (`nasviz.add_switches` with
    `where="switchable"` and `initial=0.8`); switches stay within [0, 1].

    Args:
        net: The traced network; its own parameters are trained.
        space: Its search space.
        projection_steps: Steps of the search, before pruning.
        lr: epsilon.
        rho: Weight of the new gradient in the momentum.
        mu: Weight of the penalty.
        normalisation: `none`, `div` or `mul`, by the size of a group.
        adaptive: Whether tau follows the gradients of a group; 1 otherwise.
        beta: How slowly it follows them.
        threshold: Groups of at most this length are pruned.
        groups: What makes a group: `operations`; `filters`, channels that one operator alone makes, as in the
            first two convolutions of a bottleneck; or `channels`, also those that residual sums tie.
        cells: Classes, or patterns of paths, of cells: the same operation in cells of one type is one group.
        emphasis: By how much the penalty is multiplied in modules of these classes or paths; filters and
            channels alone. GSparsity has 2 in the second and third stage of ResNet-50.

    Raises:
        InvalidSettingError: A setting is out of range, nothing can go, or parameters are sharded.
        UnknownVertexError: `cells` or `emphasis` names no module.
    """
    require_whole(net.parameters(), "gsparsity")
    names = tuple(cells)
    if groups not in GROUPS:
        raise InvalidSettingError(f"groups={groups!r}: choose one of {', '.join(GROUPS)}")
    step = _Step(lr, rho, mu, normalisation, None if adaptive else 1.0, beta)
    asked_space = space
    space = trained_space(net, space, net.parameters())
    if groups != "operations":
        if names:
            raise InvalidSettingError(
                f"cells={names}: only operations are tied, so leave it empty for {groups}"
            )
        filters = _over_channels(net, space, step, groups, emphasis or {}, projection_steps, threshold)
        filters.serve(asked_space, space, groups=groups)
        return filters
    if emphasis:
        raise InvalidSettingError("emphasis: for filters and channels alone, so leave it empty")
    if not space.removable:
        raise InvalidSettingError(f"{space.trace.name} has no removal structure, so no group for GSparsity")
    tied = space.tied(names) if names else {s.id: s.id for s in space.removable}
    binding = SpaceBinding(net, space)
    whole: dict[int, list[Tensor]] = {}
    for structure, group in binding.groups.items():
        whole.setdefault(tied[structure], []).extend(group.tensors)
    parameters = dict(net.named_parameters())
    switches: dict[Tensor, tuple[float, float]] = {
        parameters[s.switch]: (0.0, 1.0) for s in space.removable if s.switch is not None
    }
    inner = ProxSGD(net.parameters(), whole, bounds=switches, **asdict(step))
    search = GSparsity(
        inner,
        binding.members(),
        space.is_valid,
        binding.whole_group,
        projection_steps=projection_steps,
        threshold=threshold,
        tied=tied,
    )
    search.serve(asked_space, space, groups=groups)
    return search


def prepare(net: Any, space: SearchSpace, settings: Any, training: Training) -> tuple[Any, SearchSpace]:
    """Return the network with switches for operations that own no variables, where they take part."""
    if settings.groups != "operations" or not space.switchable:
        return net, space
    return add_switches(net, space, where="switchable", initial=SWITCH_START)


def build(net: nn.Module, space: SearchSpace, settings: Any, training: Training) -> PenaltySearch:
    """Return the optimizer of a run."""
    return create_gsparsity(net, space, **settings.values | {"emphasis": settings.multipliers})


@dataclass(frozen=True, slots=True)
class _Step:
    """Settings of ProxSGD."""

    lr: float
    rho: float
    mu: float
    normalisation: str
    tau: float | None
    beta: float


def _over_channels(
    net: nn.Module,
    space: SearchSpace,
    step: _Step,
    groups: str,
    emphasis: Mapping[str, float],
    projection_steps: int,
    threshold: float,
) -> FilterSparsity:
    """GSparsity over channels that operators can lose, one group each."""
    channels = space.channels
    chosen = [s for s in channels.slimmable if groups == "channels" or len(s.stems) == 1]
    if not chosen:
        raise InvalidSettingError(
            f"{space.trace.name} has no {groups} that can be cut; `space.channels.why_not(vertex)` says why"
        )
    index = SpaceBinding(net, space).channel_index(chosen)
    grouping = RowGrouping(index, index.ids, _multipliers(space, chosen, emphasis))
    inner = ProxSGD(net.parameters(), grouping, **asdict(step))
    return FilterSparsity(
        inner, index, channels.leave_something, projection_steps=projection_steps, threshold=threshold
    )


def _multipliers(
    space: SearchSpace, structures: Iterable[ChannelStructure], emphasis: Mapping[str, float]
) -> dict[int, float]:
    """By how much the penalty of each channel group is multiplied; the product where several apply."""
    found: dict[int, float] = {}
    for name, factor in emphasis.items():
        if not 0 < factor < float("inf"):
            raise InvalidSettingError(f"emphasis of {name}: {factor!r} must be a number above 0")
        paths = modules_like(space.trace, [name], "emphasise")
        for structure in structures:
            scopes = [{*space.trace[v].scope, space.trace[v].module} for v in structure.stems]
            if all(paths & scope for scope in scopes):
                found |= {group: found.get(group, 1.0) * factor for group in structure.groups}
    return found
