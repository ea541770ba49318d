"""RARTS's width search, SiDT, and what table 4.2 compares: channels of the lowest scores go.

Dissertation, Algorithm 3 and section 4.2: two copies of the weights share the scores; the l1 norm of these is
part of the Lagrangian. After N steps all |scores| are sorted, and the fraction m of lowest is pruned. What is
left goes on from its weights and is distilled from the network before pruning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from math import floor
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Optimizer

from nasviz.errors import CheckpointError, InvalidSettingError
from nasviz.graph import ChannelStructure, SearchSpace
from nasviz.graph.channels.heads import DIMENSIONS
from nasviz.nas.bilevel import FIRST_ORDER, darts_steps
from nasviz.nas.channel_scores import ChannelScores, attention_pairs
from nasviz.nas.functional_weights import Copy, FunctionalWeights
from nasviz.nas.methods import RARTS
from nasviz.nas.rarts import Relaxation
from nasviz.nas.update_steps import Loss, Step, Tensors, UpdateStep, gradient
from nasviz.optim.create import inner_optimizer
from nasviz.optim.groups import GroupScaler, SpaceBinding, TensorGroup, tensors_of, trained_space, zero_
from nasviz.optim.prox import group_of_rows, soft_threshold
from nasviz.optim.search_optimizer import (
    Batch,
    Conclusion,
    Training,
    Trial,
    below_one,
    most_narrowed,
    not_negative,
    positive_steps,
)
from nasviz.settings import RARTSWidthSettings

__all__ = [
    "RANKINGS",
    "SCOPES",
    "SEARCHES",
    "WidthSearch",
    "build",
    "create_width",
    "distillation_loss",
    "kept_dimensions",
    "prepare",
]

SCOPES = ("channels", "filters", "dimensions")
"""What is scored: all channels, those that one operator alone makes, or those of linear layers (SiDT)."""
RANKINGS = ("global", "layer")
SEARCHES = ("rarts", "darts_first", "darts_second", "random")
"""What decides (RARTS dissertation, table 4.2)."""
PRUNING_FRACTIONS = (0.2, 0.4, 0.6, 0.8)
"""Fractions at which a network is judged when its search ends, as RARTS and SiDT prune."""
_DEFAULT = RARTSWidthSettings()


class WidthSearch(RARTS):
    """RARTS on the scores of channels, pruning, and fine-tuning with distillation.

    Args:
        net: The network, whose parameters are moved.
        inner: Optimizer of all weights; the auxiliary copy joins it.
        scores: Of the channels.
        select: Takes |score| of each group and a fraction; which groups go.
        group_of: All rows of some groups.
        search_steps: Steps before pruning.
        fraction: m, of all scored groups; 0 prunes those whose score has become exactly 0.
        sparsity: gamma of the l1 norm of the scores, which acts by its proximal map: scores may become 0.
        scores_lr: Learning rate of the scores.
        distillation: Weight of the distillation loss in the tuning.
        temperature: T of the distillation.
        search: One of `SEARCHES`: what moves weights and scores; `random` moves no score.
        ranks: Random number of each group, which decides what goes in place of scores.
        **settings: Those of `RARTS`: `relaxation`, `clip`.

    References:
        Xue, Relaxation and Optimization for Automated Learning of Neural Network Architectures (2022),
        algorithm 3. https://escholarship.org/uc/item/3wt239sm
    """

    method = "rarts_width"

    cuts_channels = True
    derives = False
    judges = True

    def __init__(
        self,
        net: nn.Module,
        inner: Optimizer,
        scores: ChannelScores,
        select: Callable[[dict[int, float], float], Sequence[int]],
        group_of: Callable[[Sequence[int]], TensorGroup],
        *,
        search_steps: int,
        fraction: float = _DEFAULT.fraction,
        sparsity: float = _DEFAULT.sparsity,
        scores_lr: float = _DEFAULT.scores_lr,
        distillation: float = _DEFAULT.distillation,
        temperature: float = _DEFAULT.temperature,
        search: str = _DEFAULT.search,
        ranks: Mapping[int, float] | None = None,
        **settings: Any,
    ) -> None:
        if search not in SEARCHES or (search == "random") != (ranks is not None):
            raise InvalidSettingError(
                f"search={search!r}: choose one of {', '.join(SEARCHES)}; random needs ranks, others none"
            )
        self._search, self._ranks = search, ranks
        self._net, self.channel_scores = net, scores
        self.search_steps = positive_steps("search_steps", search_steps)
        self.fraction = below_one("fraction", fraction)
        self.sparsity = not_negative("sparsity", sparsity)
        self.distillation = not_negative("distillation", distillation)
        self.temperature = temperature
        self._select, self._group_of = select, group_of
        self._pruned: tuple[int, ...] | None = None
        self._held = GroupScaler(TensorGroup())
        super().__init__(net, inner, SGD([scores.values], lr=scores_lr), **settings)
        if search != "rarts":  # one copy of the weights; the other becomes the teacher when the search ends
            self.reported, self._variables = "w", {"w": self.weights, "alpha": self.alphas}

    @property
    def phase(self) -> str:
        """`projection` for the search, `training` once it has ended."""
        return "projection" if self.num_steps < self.search_steps else "training"

    @property
    def channels(self) -> tuple[int, ...]:
        """The channel groups that were pruned; empty until then."""
        return self._pruned or ()

    @property
    def channels_zeroed_by(self) -> dict[int, str]:
        """What made each channel group zero that is so for good."""
        return dict.fromkeys(self.channels, "lowest scores")

    @property
    def channels_zeroed_at(self) -> dict[int, int]:
        """The step at which each of them became zero: the last one of the search."""
        return dict.fromkeys(self.channels, self.search_steps - 1)

    @property
    def num_zero(self) -> Tensor:  # type: ignore[override]  # on the device, for a record at every step
        """How many groups were pruned; before that, how many scores are 0."""
        if self._pruned is not None:
            return torch.tensor(len(self._pruned))
        return (self.channel_scores.values.detach() == 0).sum()

    def selected_at(self, fraction: float) -> tuple[int, ...]:
        """Return the groups that this fraction would prune now. Synchronizes with the device."""
        if self._ranks is not None:
            return tuple(self._select(dict(self._ranks), fraction)) if fraction else ()
        sizes = self.channel_scores.sizes()
        if not fraction:
            sizes = {group: size for group, size in sizes.items() if size == 0}
            return tuple(self._select(sizes, 1.0)) if sizes else ()
        return tuple(self._select(sizes, fraction))

    def _iteration(self, train: Loss, validation: Loss) -> Iterator[Step]:
        if self._search == "rarts":
            return super()._iteration(train, validation)
        if self._search == "random":
            return _joint_step(train, validation, self.weights, self.alphas)
        lookahead = FIRST_ORDER if self._search == "darts_first" else self._lookahead()
        return darts_steps(train, validation, self.weights, self.alphas, lookahead)

    def aim(self, num_selected: int) -> str:
        """Return how many channels have scores."""
        if self._ranks is not None:
            return f"{len(self.channel_scores)} channels in a random order"
        return f"{len(self.channel_scores)} channels to be scored"

    def train_step(self, batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
        """Take a step of the search, or once it has ended a step of the tuning."""
        return super().train_step(batches) if self.phase != "training" else self._tuning_step(*batches)

    def _tuning_step(self, batch: Batch, *others: Batch) -> tuple[Tensor, Tensor]:
        """Take a step on all batches together, distilled from the network before pruning."""
        self.prune()
        examples, judge = batch.joined(others)
        output = self._net(*examples)
        loss, accuracy = judge(output)
        if self.distils:
            loss = loss + self.distilled(batch, examples, output)
        self.tune(loss)
        return loss.detach(), accuracy

    @property
    def distils(self) -> bool:  # type: ignore[override]
        """Whether the tuning learns from the network before pruning."""
        return self.distillation > 0

    def distilled(self, batch: Batch, examples: tuple[Any, ...], output: Any) -> Tensor:
        """Return the weighted distillation loss from the network before pruning."""
        self._net.eval()
        with torch.no_grad(), self.teacher():
            wanted = batch.logits(self._net(*examples))
        self._net.train()
        return self.distillation * distillation_loss(wanted, batch.logits(output), self.temperature)

    def evaluating(self) -> AbstractContextManager[None]:
        """Let the network compute with its scores."""
        return self.counting()

    def end_search(self, trial: Trial) -> None:
        """Judge the network with its scores, and without the lowest of them; then prune it."""
        if self.pruning is not None:
            return
        total = len(self.channel_scores.home)
        with self.counting():
            before = trial.accuracy()
        rows = []
        for fraction in sorted({*PRUNING_FRACTIONS, self.fraction}):
            gone = self.selected_at(fraction)
            with self.counting(without=gone):
                rows.append({"threshold": fraction, "pruned": len(gone), "accuracy": trial.accuracy()})
        self.pruning = {"accuracy": before, "thresholds": rows, "groups": total, "kind": "fraction"}
        words = ", ".join(
            f"{trial.words(r['accuracy'])} at {r['threshold']:.0%} ({r['pruned']} gone)" for r in rows
        )
        trial.tell("phase", f"the search ended with {trial.words(before)}; pruned: {words}")
        self.prune()
        words = f"{len(self.channels)} of {total} channel groups go{most_narrowed(self.space, self.channels)}"
        trial.tell("selected", words)

    def conclude(self, network: Any, space: SearchSpace) -> Conclusion:
        """Return that no structure goes; the channels that do are zero."""
        survivors = len(self.channel_scores.home) - len(self.channels)
        return Conclusion(network, space, (), {"pruning": self.pruning, "survivors": survivors})

    def counting(self, without: Sequence[int] = ()) -> AbstractContextManager[None]:
        """Let the network compute with its scores, and without some groups; after pruning it does anyway."""
        return self._scored.counting(self.channel_scores.without(without))

    @torch.no_grad()
    def prune(self) -> None:
        """End the search: fold the scores in, keep the weights as a teacher, hold what goes at zero."""
        if self._pruned is not None:
            return
        self._pruned = self.selected_at(self.fraction)
        scores = self.channel_scores
        for tensor, scaled in zip(
            scores.index.tensors, scores.scaled(scores.index.tensors, scores.values), strict=True
        ):
            tensor.copy_(scaled)
        scores.values.fill_(1.0)
        self.auxiliary.load_(self.weights, self._scored.statistics)
        self.state.clear()  # momentum of weights that were other ones
        self._hold()

    def teacher(self) -> AbstractContextManager[None]:
        """Let the network compute as it did before pruning."""
        return self._scored.at(self.auxiliary)

    def tune(self, loss: Tensor) -> None:
        """Update the remaining weights along the gradient of `loss`, after `prune`."""
        assert self._pruned is not None, "prune before the loss is taken"
        for tensor in self.weights:
            tensor.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        self._held.drop_gradients_()
        if self.clip < float("inf"):
            nn.utils.clip_grad_norm_(self.weights, self.clip)
        self.inner.step()
        self._held.zero_()
        for tensor in self.weights:
            tensor.grad = None
        self.num_steps += 1

    def state_dict(self) -> dict[str, Any]:
        """With the scores, which are none of the network's parameters."""
        return super().state_dict() | {
            "scores": self.channel_scores.values.detach(),
            "groups": list(self.channel_scores.ids),
            "search_steps": self.search_steps,
            "pruned": None if self._pruned is None else list(self._pruned),
            "pruning": self.pruning,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken.

        Raises:
            CheckpointError: The state is that of another method, or of other channels.
        """
        if state_dict.get("groups", []) != list(self.channel_scores.ids):
            raise CheckpointError(
                f"this state is of {len(state_dict.get('groups', []))} scores, this search has"
                f" {len(self.channel_scores)} or others; generate the search space from the same network"
            )
        super().load_state_dict(state_dict)
        with torch.no_grad():
            self.channel_scores.values.copy_(state_dict["scores"])
        self.search_steps = state_dict["search_steps"]  # a run that is continued has searched before
        self.pruning = state_dict["pruning"]
        pruned = state_dict["pruned"]
        self._pruned = None if pruned is None else tuple(pruned)
        if pruned:
            self._held = GroupScaler(self._group_of(pruned))

    def _evaluator(self, net: nn.Module) -> FunctionalWeights:
        self._scored = _Scored(net, self.weights, self.channel_scores)
        return self._scored

    def _hold(self) -> None:
        group = self._group_of(self.channels)
        zero_(group, self.state)
        self._held = GroupScaler(group)

    def _make(self, move: UpdateStep) -> None:
        super()._make(move)
        if move.variable == "alpha" and self.sparsity:
            with torch.no_grad():
                values, rate = self.channel_scores.values, self.architecture.param_groups[0]["lr"]
                values.copy_(soft_threshold(values, rate * self.sparsity))


def create_width(
    net: nn.Module,
    space: SearchSpace,
    *,
    projection_steps: int,
    base: str | Optimizer = "sgd",
    groups: str = _DEFAULT.groups,
    fraction: float = _DEFAULT.fraction,
    ranking: str = _DEFAULT.ranking,
    sparsity: float = _DEFAULT.sparsity,
    scores_lr: float = _DEFAULT.scores_lr,
    auxiliary_weight: float = _DEFAULT.auxiliary_weight,
    coupling: float = _DEFAULT.coupling,
    distillation: float = _DEFAULT.distillation,
    temperature: float = _DEFAULT.temperature,
    search: str = _DEFAULT.search,
    generator: torch.Generator | None = None,
    clip: float = _DEFAULT.clip,
    **settings: Any,
) -> WidthSearch:
    """Return RARTS on the scores of channels (dissertation, Algorithm 3), or of dimensions (SiDT).

    Args:
        net: The traced network; its own parameters are trained.
        space: Its search space.
        projection_steps: Steps of the search, before pruning.
        base: `sgd`, `adam` or `adamw`, for the weights; or an optimizer of `torch.optim` that holds them.
        groups: What is scored, one of `SCOPES`. `dimensions`: those of heads, shared by queries, keys, values
            and all heads, and those of hidden layers.
        fraction: m, the share of scored groups that is pruned; 0 prunes those whose score is exactly 0.
        ranking: `global`: all scores are sorted together; `layer`: each structure keeps the same share.
        sparsity: gamma, weight of the l1 norm of the scores; published: 1e-4.
        scores_lr: Learning rate of the scores.
        auxiliary_weight: lambda of RARTS.
        coupling: beta of RARTS.
        distillation: Weight of the distillation from the network before pruning; 0 for none.
        temperature: T of the distillation.
        search: `rarts`; `darts_first` or `darts_second`, weights learn from one half of the data and scores
            from the other; or `random`, weights learn from all data and channels go at random.
        generator: Source of the random order; seeded with 0 when left out.
        clip: Longest gradient of the weights.
        **settings: Those of the base (`lr`, `momentum`, `weight_decay`, ...).

    Raises:
        InvalidSettingError: A setting is out of range, or the network has nothing to score.
    """
    if groups not in SCOPES or ranking not in RANKINGS:
        raise InvalidSettingError(
            f"groups={groups!r}, ranking={ranking!r}: choose of {', '.join(SCOPES)}, and of"
            f" {', '.join(RANKINGS)}"
        )
    if isinstance(base, Optimizer):
        inner = base
    else:
        inner = inner_optimizer(base, [p for p in net.parameters() if p.requires_grad], **settings)
    if groups == "dimensions" and any(s.unit == "head" for s in space.channels.slimmable):
        raise InvalidSettingError(
            f"groups={groups!r} scores dimensions of heads, and in this search space heads go whole; make it"
            f" by search_space(net, heads={DIMENSIONS!r})"
        )
    asked_space, space = space, trained_space(net, space, tensors_of(inner))
    chosen = [s for s in space.channels.slimmable if _is_scored(space, s, groups)]
    pairs = attention_pairs(space, chosen) if groups == "dimensions" else {}
    scores = ChannelScores(net, space, chosen, pairs)
    index = SpaceBinding(net, space).channel_index(chosen)

    def select(sizes: Mapping[int, float], share: float) -> tuple[int, ...]:
        return _lowest(scores, sizes, share, ranking)

    ranks = None
    if search == "random":
        draws = torch.rand(len(scores.ids), generator=generator or torch.Generator().manual_seed(0))
        drawn = dict(zip(scores.ids, draws.tolist(), strict=True))
        ranks = {group: drawn[home] for group, home in scores.home.items()}
    made = WidthSearch(
        net,
        inner,
        scores,
        select,
        lambda ids: group_of_rows(index, ids),
        search_steps=projection_steps,
        fraction=fraction,
        sparsity=sparsity,
        scores_lr=scores_lr,
        distillation=distillation,
        temperature=temperature,
        search=search,
        ranks=ranks,
        relaxation=Relaxation(auxiliary_weight, coupling),
        clip=clip,
    )
    made.serve(asked_space, space, groups=groups, ranking=ranking, search=search)
    return made


def prepare(
    net: nn.Module, space: SearchSpace, settings: Any, training: Training
) -> tuple[nn.Module, SearchSpace]:
    """Return the search space in which attention loses dimensions, if these are what is scored."""
    groups = settings.values.get("groups", "dimensions")
    return net, replace(space, heads=DIMENSIONS) if groups == "dimensions" else space


def build(net: nn.Module, space: SearchSpace, settings: Any, training: Training) -> WidthSearch:
    """Return the optimizer of a run."""
    chosen = {"groups": "dimensions"} | settings.values
    return create_width(net, space, generator=training.generator(), **chosen)


def kept_dimensions(ratio: float, num_dimensions: int) -> int:
    """Return how many of a head's dimensions stay: ratio * d/h, rounded down, and at least 1.

    Raises:
        InvalidSettingError: The ratio is not in (0, 1].

    Examples:
        >>> kept_dimensions(0.8, 32), kept_dimensions(0.01, 32)
        (25, 1)
    """
    if not 0 < ratio <= 1:
        raise InvalidSettingError(f"ratio={ratio!r}: must be above 0 and at most 1")
    return max(1, floor(ratio * num_dimensions + 1e-9))


def _is_scored(space: SearchSpace, structure: ChannelStructure, groups: str) -> bool:
    if groups == "dimensions":
        return all(space.trace[v].operator == "linear" for v in structure.stems)
    return groups == "channels" or len(structure.stems) == 1


def _lowest(scores: ChannelScores, sizes: Mapping[int, float], share: float, ranking: str) -> tuple[int, ...]:
    """Return the groups to prune: the smallest, of equal ones the first; every operator keeps a channel."""
    channels, known = scores.space.channels, set(sizes)
    if share >= 1 or len(known) < len(scores.home):  # those that are exactly zero, as many as can go
        return channels.leave_something(known)
    if ranking == "layer":
        gone: list[int] = []
        for structure in scores.structures:
            order = sorted(structure.groups, key=lambda group: (sizes[group], group))
            gone += order[: structure.width - kept_dimensions(1 - share, structure.width)]
        return channels.leave_something(scores.together(gone))
    limit = sum(s.width - 1 for s in scores.structures)
    k = min(floor(share * len(scores.home) + 1e-9), limit, channels.max_groups())
    everything = {group: float("inf") for s in channels.slimmable for group in s.groups} | dict(sizes)
    picked = [group for group in channels.select(everything, k) if group in known]
    return channels.leave_something(scores.together(picked))


def _joint_step(train: Loss, validation: Loss, weights: Tensors, alphas: Tensors) -> Iterator[Step]:
    """Move the weights by the mean of both losses."""
    loss = (train(weights, alphas) + validation(weights, alphas)) / 2
    yield UpdateStep("w", gradient(loss, weights), loss.detach())


class _Scored(FunctionalWeights):
    """Evaluate a network as a function of its weights and of the scores of its channels.

    Args:
        net: The network.
        weights: Its parameters.
        scores: Of its channels; none of its parameters.
    """

    def __init__(self, net: nn.Module, weights: Sequence[nn.Parameter], scores: ChannelScores) -> None:
        super().__init__(net, weights, [])
        self._scores = scores
        places = {id(weight): place for place, weight in enumerate(weights)}
        self._places = [places[id(tensor)] for tensor in scores.index.tensors]

    def loss(self, closure: Callable[[], Tensor]) -> Loss:
        """`closure`, which runs the network as it stands, at other weights and with other scores."""

        def at(weights: Tensors, alphas: Tensors) -> Tensor:
            (values,) = alphas
            with self._holding(weights, values), self._statistics.holding(self._statistics_of(weights)):
                return closure()

        return at

    @contextmanager
    def counting(self, values: Tensor) -> Iterator[None]:
        """Let the network compute with these scores."""
        with self._holding(self.weights, values):
            yield

    @contextmanager
    def at(self, copy: Copy) -> Iterator[None]:
        """Let the network compute with the weights and statistics of a copy, without scores."""
        with self._parameters.holding(copy.weights), self._statistics.holding(copy.statistics):
            yield

    @property
    def statistics(self) -> Sequence[Tensor]:
        """Of the norms of the network itself."""
        return self._statistics.tensors

    @contextmanager
    def _holding(self, weights: Tensors, values: Tensor) -> Iterator[None]:
        made = list(weights)
        scaled = self._scores.scaled([made[place] for place in self._places], values)
        for place, tensor in zip(self._places, scaled, strict=True):
            made[place] = tensor
        with self._parameters.holding(made):
            yield


def distillation_loss(teacher: Tensor, student: Tensor, temperature: float = _DEFAULT.temperature) -> Tensor:
    """Return L_KD = mean over samples of sum_i p_i log(p_i / q_i), p and q the softmax of logits / T.

    Not negative, and 0 exactly where the logits of each sample differ by a constant.

    Args:
        teacher: Logits of the unpruned network, `(N, classes)`; nothing flows back into it.
        student: Logits of the pruned network, `(N, classes)`.
        temperature: T, above 0.

    Raises:
        InvalidSettingError: The shapes differ, or the temperature is not above 0.

    Examples:
        >>> from torch import tensor
        >>> teacher, student = tensor([[3.0, 1.0, -1.0]]), tensor([[2.0, 1.0, 0.0]])
        >>> loss = distillation_loss(teacher.double(), student.double())
        >>> round(loss.item(), 7)
        0.0191076
    """
    if teacher.shape != student.shape or teacher.dim() != 2:
        raise InvalidSettingError(
            f"distillation needs logits of one shape (N, classes); the teacher's are {tuple(teacher.shape)},"
            f" the student's {tuple(student.shape)}"
        )
    if not temperature > 0:
        raise InvalidSettingError(f"temperature={temperature!r}: must be above 0")
    p = functional.log_softmax(teacher.detach() / temperature, dim=1)
    q = functional.log_softmax(student / temperature, dim=1)
    return functional.kl_div(q, p, reduction="batchmean", log_target=True)
