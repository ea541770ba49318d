"""RARTS's width search, and SiDT: scores of channels learn with the weights, the lowest of them go.

Dissertation, Algorithm 3 and section 4.2: two copies of the weights share the scores; the l1 norm of these is
part of the Lagrangian. After N steps all |scores| are sorted, and the fraction m of lowest is pruned. What is
left goes on from its weights and is distilled from the network before pruning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from nasviz.errors import CheckpointError
from nasviz.nas.functional_weights import Elsewhere
from nasviz.nas.methods import RARTS
from nasviz.nas.scored import Scored
from nasviz.nas.splitting import soft_threshold
from nasviz.nas.update_steps import Move
from nasviz.optim.channel_scores import ChannelScores
from nasviz.optim.checks import below_one, not_negative, positive_steps
from nasviz.optim.groups import GroupScaler, TensorGroup, zero_

__all__ = ["WidthSearch"]


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
        **settings: Those of `RARTS`: `relaxation`, `clip`.

    References:
        Xue, Relaxation and Optimization for Automated Learning of Neural Network Architectures (2022),
        algorithm 3. https://escholarship.org/uc/item/3wt239sm
    """

    def __init__(
        self,
        net: nn.Module,
        inner: Optimizer,
        scores: ChannelScores,
        select: Callable[[dict[int, float], float], Sequence[int]],
        group_of: Callable[[Sequence[int]], TensorGroup],
        *,
        search_steps: int,
        fraction: float = 0.4,
        sparsity: float = 1e-4,
        scores_lr: float = 0.1,
        distillation: float = 1.0,
        **settings: Any,
    ) -> None:
        self.channel_scores = scores
        self.search_steps = positive_steps("search_steps", search_steps)
        self.fraction = below_one("fraction", fraction)
        self.sparsity = not_negative("sparsity", sparsity)
        self.distillation = not_negative("distillation", distillation)
        self._select, self._group_of = select, group_of
        self._pruned: tuple[int, ...] | None = None
        self._held = GroupScaler(TensorGroup())
        self.pruning: dict[str, Any] | None = None
        """What whoever ended the search found about it, plain data; saved with the state."""
        super().__init__(net, inner, SGD([scores.values], lr=scores_lr), **settings)

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
        """The groups that would go now with this fraction; the host waits for the device."""
        sizes = self.channel_scores.sizes()
        if not fraction:
            sizes = {group: size for group, size in sizes.items() if size == 0}
            return tuple(self._select(sizes, 1.0)) if sizes else ()
        return tuple(self._select(sizes, fraction))

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
        """A step of the weights that are left along the gradient of `loss`, taken after `prune`."""
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

    def _evaluator(self, net: nn.Module) -> Elsewhere:
        self._scored = Scored(net, self.weights, self.channel_scores)
        return self._scored

    def _hold(self) -> None:
        group = self._group_of(self.channels)
        zero_(group, self.state)
        self._held = GroupScaler(group)

    def _make(self, move: Move) -> None:
        super()._make(move)
        if move.variable == "alpha" and self.sparsity:
            with torch.no_grad():
                values, rate = self.channel_scores.values, self.architecture.param_groups[0]["lr"]
                values.copy_(soft_threshold(values, rate * self.sparsity))
