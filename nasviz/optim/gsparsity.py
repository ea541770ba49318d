"""GSparsity: operations or channels go by group sparsity alone, in one level (Chatzimichailidis et al. 2022).

A search by ProxSGD, whose penalty draws whole groups to zero; then everything shorter than a threshold is
pruned, and what is left trains on without the penalty. Pruning changes no output, unless a structure entails
rows of later norms or biases, behind a concatenation: these the penalty leaves alone, and they go with it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nasviz.errors import CheckpointError, InvalidSettingError
from nasviz.graph import ChannelStructure, SearchSpace
from nasviz.graph.segments import modules_like
from nasviz.optim import waiting
from nasviz.optim.group_optimizer import GroupOptimizer
from nasviz.optim.groups import GroupScaler, SpaceBinding, TensorGroup, merge, trained_space
from nasviz.optim.prox import RowGrouping, group_of_rows
from nasviz.optim.proxsgd import UPDATES, ProxSGD, gains
from nasviz.optim.search_optimizer import (
    Conclusion,
    News,
    Training,
    Trial,
    most_narrowed,
    most_of,
    not_negative,
    positive_share,
    positive_steps,
    require_whole,
)
from nasviz.saliency import StructureIndex, gradient_cosine
from nasviz.saliency.reductions import RowIndex
from nasviz.settings import GSparsitySettings
from nasviz.settings.fields import Auto
from nasviz.switches import add_switches

__all__ = [
    "GROUPS",
    "PRUNING",
    "REASON",
    "SWITCH_START",
    "FilterSparsity",
    "GSparsity",
    "PenaltySearch",
    "create_gsparsity",
]

REASON = "group sparsity"
_DEFAULT = GSparsitySettings()
PRUNING = ("proximal", "threshold")
"""What decides which groups are pruned: the threshold, or also whether their proximal point is zero."""
PRUNING_THRESHOLDS = (1e-6, 1e-3, 0.5)
"""Thresholds at which a network is judged when its search ends (GSparsity, table 2)."""


class PenaltySearch(GroupOptimizer):
    """ProxSGD for a search, pruning at its end, and then the same steps without a penalty.

    Args:
        inner: ProxSGD over all parameters, with the groups of the penalty.
        index: What may go.
        others: Tensors that go with it.
        projection_steps: Steps of the search.
        threshold: Groups of at most this length are pruned at the end of the search.
        pruning: One of `PRUNING`.
        max_zeros: Share of the groups that the penalty may bring to zero, above 0: as soon as so many are
            dead, the shortest of them stay under it, and all others are free.
    """

    method = "gsparsity"
    judges = True

    unit_name: ClassVar[str] = "structures"

    _is_told = False

    def __init__(
        self,
        inner: ProxSGD,
        index: StructureIndex,
        others: Iterable[Tensor] = (),
        *,
        projection_steps: int,
        threshold: float = _DEFAULT.threshold,
        pruning: str = _DEFAULT.pruning,
        max_zeros: float = 1.0,
    ) -> None:
        if pruning not in PRUNING:
            raise InvalidSettingError(f"pruning={pruning!r}: choose one of {', '.join(PRUNING)}")
        self.max_zeros = positive_share("max_zeros", max_zeros)
        if not isinstance(inner, ProxSGD):
            raise InvalidSettingError(f"GSparsity needs ProxSGD inside, not {type(inner).__name__}")
        self.projection_steps = positive_steps("projection_steps", projection_steps)
        self.threshold = not_negative("threshold", threshold)
        self.rule, self._proximal = pruning, inner
        self._index, self._grouping = index, inner.grouping
        self._pruned: tuple[int, ...] | None = None
        self._penalized: tuple[int, ...] | None = None
        super().__init__(inner, (*index.tensors, *others))

    @property
    def phase(self) -> str:
        """`projection` for the search, `training` once it has ended."""
        return "projection" if self.num_steps < self.projection_steps else "training"

    @property
    def mu(self) -> float:
        """Weight of the penalty; 0 once the search has ended."""
        return float(self.param_groups[0]["mu"])

    @property
    def unit_ids(self) -> tuple[int, ...]:
        """Of what may go, in the order of `norm_vector`."""
        return self._index.ids

    @property
    def pruned(self) -> tuple[int, ...]:
        """What was pruned; empty until then."""
        return self._pruned or ()

    @property
    def zeroed_by(self) -> dict[int, str]:
        """What made each structure zero that is so for good."""
        return dict.fromkeys(self.selected, REASON)

    @property
    def zeroed_at(self) -> dict[int, int]:
        """The step at which each structure became zero for good: the last one of the search."""
        return dict.fromkeys(self.selected, self.projection_steps - 1)

    @property
    @torch.no_grad()
    def num_zero(self) -> Tensor:
        """How many of what may go is no longer than the threshold, on the device."""
        return (self.norm_vector() <= self.threshold).sum()

    @torch.no_grad()
    def norm_vector(self) -> Tensor:
        """||x_g|| of all that may go as it is now, on the device."""
        return self._index.norm(self._index.tensors)

    def penalty(self) -> Tensor | None:
        """Return the penalty of the groups while the search lasts."""
        return self._proximal.penalty() if self.phase == "projection" else None

    @torch.no_grad()
    def cosine_vector(self) -> Tensor:
        """cos(x_g, grad f_g) of all that may go before a step, on the device; without the penalty's part."""
        return gradient_cosine(self._index)

    @torch.no_grad()
    def shorter_than(self, threshold: float) -> tuple[int, ...]:
        """Return what would go at this threshold, by the lengths of groups; synchronizes."""
        return self._in(self._short(threshold))

    @torch.no_grad()
    def to_prune(self) -> tuple[int, ...]:
        """Return what would go now, by the rule and the threshold of this search; synchronizes."""
        dead = self._proximal.dead() if self.rule == "proximal" else ()
        return self._in(self._short(self.threshold) | frozenset(dead))

    def _short(self, threshold: float) -> frozenset[int]:
        return frozenset(i for i, norm in self._lengths().items() if norm <= threshold)

    def _lengths(self) -> dict[int, float]:
        """Return the length of each group of the penalty; synchronizes."""
        grouping = self._grouping
        return dict(zip(grouping.ids, grouping.norm(grouping.tensors).tolist(), strict=False))

    @torch.no_grad()
    def _limit(self) -> None:
        """Free all other groups from the penalty once the largest share of zeros is dead."""
        limit = most_of(self.max_zeros, len(self._grouping.ids))
        if self._penalized is not None or limit == len(self._grouping.ids):
            return
        dead = self._short(self.threshold) | frozenset(self._proximal.dead())
        if len(dead) >= limit:
            lengths = self._lengths()
            self._spare(tuple(sorted(dead, key=lengths.__getitem__)[:limit]))

    def _spare(self, penalized: tuple[int, ...]) -> None:
        self._penalized = penalized
        self._proximal.spare(frozenset(self._grouping.ids).difference(penalized))

    def prune(self) -> None:
        """End the search: hold what has become short at zero, and drop the penalty; once."""
        if self._pruned is not None:
            return
        self._pruned = self.to_prune()
        for group in self.param_groups:
            group["mu"] = 0.0
        if self._pruned:
            self._hold_at_zero(self.group_of(self._pruned))

    def aim(self, num_selected: int) -> str:
        """Return what is under the penalty."""
        return f"{len(self.unit_ids)} {self.unit_name} under a penalty, mu = {self.mu:.3g}"

    def news(self) -> News:
        """Return that the largest share of zeros is reached, once."""
        if self._penalized is None or self._is_told:
            return News()
        self._is_told = True
        share = f"{len(self._penalized)} of {len(self._grouping.ids)} groups"
        limit = f"as many as max_zeros={self.max_zeros:g} allows"
        text = f"{share} are dead, {limit}: the penalty leaves the rest alone"
        return News((("penalty", text, None),))

    def vectors(self, phase: str) -> dict[str, Tensor]:
        """Return the lengths, which are what decides: as scores, and as norms."""
        norms = self.norm_vector()
        return {"norms": norms, "scores": norms}

    def end_search(self, trial: Trial) -> None:
        """Judge the network before pruning, and pruned at some thresholds; then prune it at its own."""
        if self.pruning is not None:
            return
        before = trial.accuracy()
        rows = [
            {"threshold": threshold} | self._without(self.shorter_than(threshold), trial)
            for threshold in sorted({*PRUNING_THRESHOLDS, self.threshold})
        ]
        chosen = {"rule": self.rule} | self._without(self.to_prune(), trial)
        total = len(self.unit_ids)
        self.pruning = {"accuracy": before, "thresholds": rows, "chosen": chosen, "groups": total}
        words = ", ".join(
            f"{trial.words(r['accuracy'])} at {r['threshold']:g} ({r['pruned']} gone)" for r in rows
        )
        trial.tell("phase", f"the search ended with {trial.words(before)}; pruned: {words}")
        if self.rule == "proximal":
            words = (
                f"{chosen['pruned']} of {total} {self.unit_name} go: their proximal point is zero, or they"
            )
            trial.tell(
                "phase", f"{words} are at most {self.threshold:g} long ({trial.words(chosen['accuracy'])})"
            )
        self.prune()
        self.tell_pruned(trial)

    @torch.no_grad()
    def _without(self, ids: tuple[int, ...], trial: Trial) -> dict[str, Any]:
        """Return how many of what may go these are, and the accuracy without them."""
        group = self.group_of(ids)
        tensors = [*group.tensors, *(rows.tensor for rows in group.rows)]
        kept = [tensor.clone() for tensor in tensors]
        GroupScaler(group).zero_()
        row = {
            "pruned": len(ids),
            "accuracy": trial.accuracy(),
            "is_valid": self.is_valid_without(ids),
        }
        for tensor, value in zip(tensors, kept, strict=True):
            tensor.copy_(value)
        return row

    def is_valid_without(self, ids: Sequence[int]) -> bool:
        """Return whether the network stays connected without these; without channels it always does."""
        return True

    def tell_pruned(self, trial: Trial) -> None:
        """Record what was pruned."""
        names = {s.id: s.name for s in self.space.structures}
        for structure in self.selected:
            trial.tell("redundant", f"{names[structure]} has died", structure)

    def conclude(self, network: nn.Module, space: SearchSpace) -> Conclusion:
        """Return what was pruned, with the accuracies around it."""
        found = {"pruning": self.pruning, "survivors": len(self.unit_ids) - len(self.pruned)}
        return replace(super().conclude(network, space), report=found)

    @abstractmethod
    def group_of(self, ids: Sequence[int]) -> TensorGroup:
        """All that must be zero when these go."""

    @abstractmethod
    def _in(self, groups: frozenset[int]) -> tuple[int, ...]:
        """Return what goes when these groups of the penalty are short."""

    def _update(self) -> None:
        is_over = self.phase == "training"
        if is_over:
            self.prune()
        self._inner_step()
        if not is_over and waiting.looks_at(self.num_steps, self._grouping.device):
            self._limit()

    def _own_state(self) -> dict[str, Any]:
        return {
            "penalized": None if self._penalized is None else list(self._penalized),
            "structures": list(self._index.ids),
            "selected": None if self._pruned is None else list(self._pruned),
            "projection_steps": self.projection_steps,
            "threshold": self.threshold,
            "pruning": self.pruning,
        }

    def _check_own_state(self, own: dict[str, Any]) -> None:
        if own["structures"] != list(self._index.ids):
            raise CheckpointError(
                f"this state is of {len(own['structures'])} structures, this optimizer has"
                f" {len(self._index.ids)} or others; generate the search space from the same network"
            )

    def _load_own_state(self, own: dict[str, Any]) -> None:
        self.projection_steps, self.threshold = own["projection_steps"], own["threshold"]
        self.pruning = own["pruning"]
        if own.get("penalized") is not None:  # not saved before there was a limit
            self._spare(tuple(own["penalized"]))
            self._is_told = True
        self._pruned = None if own["selected"] is None else tuple(own["selected"])


class GSparsity(PenaltySearch):
    """ProxSGD for a search, pruning at its end, and then the same steps without a penalty.

    Args:
        inner: ProxSGD over all parameters, with a group for each structure, or for tied ones together.
        groups: What each structure owns and entails.
        check: Whether the network stays connected without these structures.
        group_of: Everything that must be zero when these structures go; asked where they may go together.
        projection_steps: Steps of the search.
        threshold: Structures of at most this length are pruned at the end of the search, tied ones by their
            length together.
        pruning: `proximal`: structures whose proximal point is zero go too; `threshold`: they do not.
        max_zeros: Share of the groups that the penalty may bring to zero.
        tied: For each structure the id of its group in `inner`; itself when left out.
        judged: For each structure the tensors whose length is recorded; what it owns when left out.

    Examples:
        >>> import torch
        >>> weak, strong = torch.tensor([0.1]), torch.tensor([2.0])
        >>> inner = ProxSGD([weak, strong], {1: [weak], 2: [strong]}, lr=0.5, mu=0.2)
        >>> groups = {1: TensorGroup((weak,)), 2: TensorGroup((strong,))}
        >>> optimizer = GSparsity(inner, groups, lambda ids: True, lambda ids: groups[1], projection_steps=20)
        >>> for _ in range(21):
        ...     weak.grad, strong.grad = torch.zeros(1), torch.full((1,), -0.3)
        ...     optimizer.step()
        >>> optimizer.selected, weak.tolist(), optimizer.phase
        ((1,), [0.0], 'training')
    """

    def __init__(
        self,
        inner: ProxSGD,
        groups: Mapping[int, TensorGroup],
        check: Callable[[tuple[int, ...]], bool],
        group_of: Callable[[tuple[int, ...]], TensorGroup],
        *,
        projection_steps: int,
        threshold: float = _DEFAULT.threshold,
        pruning: str = _DEFAULT.pruning,
        max_zeros: float = 1.0,
        tied: Mapping[int, int] | None = None,
        judged: Mapping[int, Sequence[Tensor]] | None = None,
    ) -> None:
        self._groups, self._check, self._group_of = dict(groups), check, group_of
        self._tied = dict(tied) if tied else {i: i for i in groups}
        index = StructureIndex(judged or {i: group.tensors for i, group in groups.items()})
        owned = [tensor for group in groups.values() for tensor in group.tensors] if judged else []
        rows = [*owned, *(row.tensor for group in groups.values() for row in group.rows)]
        super().__init__(
            inner,
            index,
            rows,
            projection_steps=projection_steps,
            threshold=threshold,
            pruning=pruning,
            max_zeros=max_zeros,
        )

    @property
    def structure_ids(self) -> tuple[int, ...]:
        """The structures, in the order of `norm_vector`."""
        return self._index.ids

    @property
    def selected(self) -> tuple[int, ...]:
        """The structures that were pruned; empty until then."""
        return self.pruned

    @property
    def is_valid(self) -> bool:
        """Whether the network stays connected without what was pruned."""
        return self._check(self.selected)

    def is_valid_without(self, ids: Sequence[int]) -> bool:
        """Return whether the network stays connected without these structures."""
        return self._check(tuple(ids))

    def group_of(self, structures: Sequence[int]) -> TensorGroup:
        """All that must be zero when these structures go; what they own where they cut the network apart."""
        ids = tuple(structures)
        if ids and self._check(ids):
            return self._group_of(ids)
        return merge([self._groups[i] for i in ids])

    def _in(self, groups: frozenset[int]) -> tuple[int, ...]:
        """Tied structures go by their length together."""
        return tuple(i for i in self.structure_ids if self._tied[i] in groups)


class FilterSparsity(PenaltySearch):
    """ProxSGD for a search, pruning of filters at its end, and then the same steps without a penalty.

    Args:
        inner: ProxSGD over all parameters, with a `RowGrouping` of channel groups.
        index: The same channel groups.
        leave_something: Takes those back without which an operator would have no channel.
        projection_steps: Steps of the search.
        threshold: Groups of at most this length are pruned at its end.
        pruning: `proximal`: groups whose proximal point is zero go too; `threshold`: they do not.
        max_zeros: Share of the groups that the penalty may bring to zero.

    Examples:
        >>> import torch
        >>> from nasviz.optim.prox import RowGrouping
        >>> weight = torch.tensor([[2.0, 0.0], [0.1, 0.1]])
        >>> index = RowIndex((0, 1), [(weight, 0, [0, 1])])
        >>> inner = ProxSGD([weight], RowGrouping(index, (0, 1)), lr=0.5, mu=0.2)
        >>> optimizer = FilterSparsity(inner, index, lambda ids: ids, projection_steps=20)
        >>> for _ in range(21):
        ...     weight.grad = torch.tensor([[-0.3, 0.0], [0.0, 0.0]])
        ...     optimizer.step()
        >>> optimizer.channels, weight[1].tolist(), optimizer.phase
        ((1,), [0.0, 0.0], 'training')
    """

    unit_name = "channel groups"
    cuts_channels = True

    def __init__(
        self,
        inner: ProxSGD,
        index: RowIndex,
        leave_something: Callable[[Sequence[int]], Sequence[int]],
        *,
        projection_steps: int,
        threshold: float = _DEFAULT.threshold,
        pruning: str = _DEFAULT.pruning,
        max_zeros: float = 1.0,
    ) -> None:
        self._leave_something = leave_something
        self._rows = index
        super().__init__(
            inner,
            index,
            projection_steps=projection_steps,
            threshold=threshold,
            pruning=pruning,
            max_zeros=max_zeros,
        )

    @property
    def channels(self) -> tuple[int, ...]:
        """The channel groups that were pruned; empty until then."""
        return self.pruned

    @property
    def is_valid(self) -> bool:
        """Always: every operator keeps a channel."""
        return True

    @property
    def channels_zeroed_by(self) -> dict[int, str]:
        """What made each channel group zero that is so for good."""
        return dict.fromkeys(self.channels, REASON)

    @property
    def channels_zeroed_at(self) -> dict[int, int]:
        """The step at which each of them became zero for good: the last one of the search."""
        return dict.fromkeys(self.channels, self.projection_steps - 1)

    def tell_pruned(self, trial: Trial) -> None:
        """Record how many channels of which operators go."""
        words = f"{len(self.channels)} of {len(self.unit_ids)} channel groups go"
        trial.tell("selected", words + most_narrowed(self.space, self.channels))

    def group_of(self, ids: Sequence[int]) -> TensorGroup:
        """The rows of these channel groups."""
        return group_of_rows(self._rows, ids)

    def _in(self, groups: frozenset[int]) -> tuple[int, ...]:
        return tuple(self._leave_something(sorted(groups)))


GROUPS = ("operations", "switches", "filters", "channels")
"""What may be a group."""

SWITCH_START = 0.8
"""Value of the switches of operations without variables when a search begins (public code of GSparsity)."""


def create_gsparsity(
    net: nn.Module,
    space: SearchSpace,
    *,
    projection_steps: int,
    lr: float = _DEFAULT.lr,
    rho: float = _DEFAULT.rho,
    mu: float | Auto = _DEFAULT.mu,
    normalisation: str = _DEFAULT.normalisation,
    adaptive: bool = _DEFAULT.adaptive,
    beta: float = _DEFAULT.beta,
    update: str = _DEFAULT.update,
    coupling: float = _DEFAULT.coupling,
    threshold: float = _DEFAULT.threshold,
    pruning: str = _DEFAULT.pruning,
    max_zeros: float = _DEFAULT.max_zeros,
    groups: str = _DEFAULT.groups,
    cells: Iterable[str] = (),
    outside: bool = _DEFAULT.outside,
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
        mu: Weight of the penalty; auto: as much as brings even the longest group, unless the loss holds it,
            to zero in a quarter of the search; 0.05 with adaptive steps, 1 where `update` is not `proximal`.
        normalisation: `none`, `div` or `mul`, by the size of a group.
        adaptive: Whether tau follows the gradients of a group; 1 otherwise.
        beta: How slowly it follows them.
        update: How groups become short: `proximal`, ProxSGD; `subgradient`, SGD on the same objective;
            `soft_threshold` or `hard_threshold`, RVSM with these maps of groups.
        coupling: beta of RVSM.
        threshold: Groups of at most this length are pruned.
        pruning: `proximal`: groups whose proximal point is zero go too; `threshold`: they do not, which is
            the only rule of `subgradient`.
        max_zeros: Share of the groups that the penalty may bring to zero: once so many are dead, it leaves
            all others alone. 1: no limit.
        groups: What makes a group: `operations`; `switches`, the factors of operations alone, on a network
            where each has one (`nasviz.add_switches`); `filters`, channels that one operator alone makes, as
            in the first two convolutions of a bottleneck; or `channels`, also those that residual sums tie.
        cells: Classes, or patterns of paths, of cells: the same operation in cells of one type is one group,
            and what lies outside of cells is not penalized.
        outside: Whether operations outside of `cells` are penalized too.
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
    if update not in UPDATES:
        raise InvalidSettingError(f"update={update!r}: choose one of {', '.join(UPDATES)}")
    make = partial(UPDATES[update], **({"coupling": coupling} if "threshold" in update else {}))
    if update == "subgradient":
        pruning = "threshold"  # SGD has no proximal point
    own = GSparsitySettings.model_validate({"lr": lr, "mu": mu, "adaptive": adaptive, "update": update})
    make = partial(
        make, lr=lr, rho=rho, normalisation=normalisation, tau=None if adaptive else 1.0, beta=beta
    )

    def step(params: Iterable[Tensor], groups: Any, **more: Any) -> ProxSGD:
        made: ProxSGD = make(params, groups, **more)
        strength = own.strength(_longest(made), projection_steps)
        for group in made.param_groups:
            group["mu"] = strength
        return made

    asked_space = space
    space = trained_space(net, space, net.parameters())
    if groups not in ("operations", "switches"):
        if names:
            raise InvalidSettingError(
                f"cells={names}: only operations are tied, so leave it empty for {groups}"
            )
        end = {"projection_steps": projection_steps, "threshold": threshold, "pruning": pruning}
        end |= {"max_zeros": max_zeros}
        filters = _over_channels(net, space, step, groups, emphasis or {}, end)
        filters.serve(asked_space, space, groups=groups)
        return filters
    if emphasis:
        raise InvalidSettingError("emphasis: for filters and channels alone, so leave it empty")
    if not space.removable:
        raise InvalidSettingError(f"{space.trace.name} has no removal structure, so no group for GSparsity")
    tied = _tied_in_cells(space, names, outside=outside) if names else {s.id: s.id for s in space.removable}
    binding = SpaceBinding(net, space)
    parameters = dict(net.named_parameters())
    switches = {s.id: parameters[s.switch] for s in space.removable if s.switch is not None}
    owned: dict[int, Sequence[Tensor]] = {i: binding.groups[i].tensors for i in tied}
    if groups == "switches":
        owned = {i: (switches[i],) for i in tied if i in switches}
        tied = {i: twin for i, twin in tied.items() if i in owned}
        if not owned:
            raise InvalidSettingError(
                f"{space.trace.name} has no switches: nasviz.add_switches gives one to every operation"
            )
    whole: dict[int, list[Tensor]] = {}
    for structure, twin in tied.items():
        whole.setdefault(twin, []).extend(owned[structure])
    inner = step(net.parameters(), whole, bounds=dict.fromkeys(switches.values(), (0.0, 1.0)))
    search = GSparsity(
        inner,
        {i: group for i, group in binding.members().items() if i in tied},
        space.is_valid,
        binding.whole_group,
        projection_steps=projection_steps,
        threshold=threshold,
        pruning=pruning,
        max_zeros=max_zeros,
        tied=tied,
        judged=owned if groups == "switches" else None,
    )
    search.serve(asked_space, space, groups=groups)
    return search


def prepare(net: Any, space: SearchSpace, settings: Any, training: Training) -> tuple[Any, SearchSpace]:
    """Return the network with switches: on operations that own no variables, or on all."""
    if settings.groups == "switches":
        return add_switches(net, space, where="all", initial=SWITCH_START)
    if settings.groups != "operations" or not space.switchable:
        return net, space
    return add_switches(net, space, where="switchable", initial=SWITCH_START)


def build(net: nn.Module, space: SearchSpace, settings: Any, training: Training) -> PenaltySearch:
    """Return the optimizer of a run."""
    return create_gsparsity(net, space, **settings.values | {"emphasis": settings.multipliers})


def _over_channels(
    net: nn.Module,
    space: SearchSpace,
    step: Callable[..., ProxSGD],
    groups: str,
    emphasis: Mapping[str, float],
    end: Mapping[str, Any],
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
    inner = step(net.parameters(), grouping)
    return FilterSparsity(inner, index, channels.leave_something, **end)


@torch.no_grad()
def _longest(proximal: ProxSGD) -> float:
    """Return the largest length of a group, each over the factor on mu in its penalty."""
    grouping = proximal.grouping
    factors = gains(1.0, grouping.sizes, proximal.normalisation, proximal.exponent)
    if grouping.multipliers is not None:
        factors = factors * grouping.multipliers
    lengths = grouping.norm(grouping.tensors)[: len(grouping.ids)]
    return float((lengths / factors[: len(grouping.ids)]).max())


def _tied_in_cells(space: SearchSpace, cells: Iterable[str], *, outside: bool) -> dict[int, int]:
    """Return for each structure, of those inside of cells or of all, the one that stands for it in its type.

    Raises:
        InvalidSettingError: No structure lies inside of cells.
    """
    names = tuple(cells)
    paths = modules_like(space.trace, names, "tie")
    inside = {
        s.id
        for s in space.removable
        if all(paths.intersection(space.trace[v].scope) for v in space.segments[s.id].vertices)
    }
    if not inside:
        raise InvalidSettingError(f"cells={names}: no removal structure lies inside of these modules")
    tied = space.tied(names)
    return tied if outside else {structure: tied[structure] for structure in tied if structure in inside}


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
