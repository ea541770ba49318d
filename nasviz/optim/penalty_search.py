"""What searches by a penalty share: ProxSGD draws groups to zero, the short ones go, the rest trains on.

What a group is differs: operations (`GSparsity`), or channels inside of them (`FilterSparsity`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nasviz.errors import CheckpointError, InvalidSettingError
from nasviz.graph import SearchSpace
from nasviz.optim.checks import not_negative, positive_steps
from nasviz.optim.group_optimizer import GroupOptimizer
from nasviz.optim.groups import GroupScaler, TensorGroup
from nasviz.optim.proxsgd import ProxSGD
from nasviz.optim.search_optimizer import Conclusion, Trial
from nasviz.saliency import StructureIndex, gradient_cosine

__all__ = ["REASON", "THRESHOLD", "PenaltySearch"]

REASON = "group sparsity"
THRESHOLD = 1e-6
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
    """

    unit_name: ClassVar[str] = "structures"

    def __init__(
        self,
        inner: ProxSGD,
        index: StructureIndex,
        others: Iterable[Tensor] = (),
        *,
        projection_steps: int,
        threshold: float = THRESHOLD,
    ) -> None:
        if not isinstance(inner, ProxSGD):
            raise InvalidSettingError(f"GSparsity needs ProxSGD inside, not {type(inner).__name__}")
        self.projection_steps = positive_steps("projection_steps", projection_steps)
        self.threshold = not_negative("threshold", threshold)
        self._index, self._grouping = index, inner.grouping
        self._pruned: tuple[int, ...] | None = None
        super().__init__(inner, (*index.tensors, *others))

    @property
    def phase(self) -> str:
        """`projection` for the search, `training` once it has ended."""
        return "projection" if self.num_steps < self.projection_steps else "training"

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

    @torch.no_grad()
    def cosine_vector(self) -> Tensor:
        """cos(x_g, grad f_g) of all that may go before a step, on the device; without the penalty's part."""
        return gradient_cosine(self._index)

    @torch.no_grad()
    def shorter_than(self, threshold: float) -> tuple[int, ...]:
        """What would go at this threshold, by the lengths of groups; the host waits for the device."""
        grouping = self._grouping
        lengths: Sequence[float] = grouping.norm(grouping.tensors).tolist()
        short = (i for i, norm in zip(grouping.ids, lengths, strict=False) if norm <= threshold)
        return self._in(frozenset(short))

    def prune(self) -> None:
        """End the search: hold what has become short at zero, and drop the penalty; once."""
        if self._pruned is not None:
            return
        self._pruned = self.shorter_than(self.threshold)
        for group in self.param_groups:
            group["mu"] = 0.0
        if self._pruned:
            self._hold_at_zero(self.group_of(self._pruned))

    def aim(self, num_selected: int) -> str:
        """Return what is under the penalty."""
        return f"{len(self.unit_ids)} {self.unit_name} under a penalty"

    def vectors(self, phase: str) -> dict[str, Tensor]:
        """Return the lengths, which are what decides: as scores, and as norms."""
        norms = self.norm_vector()
        return {"norms": norms, "scores": norms}

    def end_search(self, trial: Trial) -> None:
        """Judge the network before pruning, and pruned at some thresholds; then prune it at its own."""
        if self.pruning is not None:
            return
        before = trial.accuracy()
        rows = [self._pruned_at(threshold, trial) for threshold in PRUNING_THRESHOLDS]
        self.pruning = {"accuracy": before, "thresholds": rows, "groups": len(self.unit_ids)}
        words = ", ".join(f"{r['accuracy']:.1%} at {r['threshold']:g} ({r['pruned']} gone)" for r in rows)
        trial.tell("phase", f"the search ended with accuracy {before:.1%}; pruned {words}")
        self.prune()
        self.tell_pruned(trial)

    @torch.no_grad()
    def _pruned_at(self, threshold: float, trial: Trial) -> dict[str, Any]:
        """Return how many groups go at this threshold, and the accuracy without them."""
        short = self.shorter_than(threshold)
        group = self.group_of(short)
        tensors = [*group.tensors, *(rows.tensor for rows in group.rows)]
        kept = [tensor.clone() for tensor in tensors]
        GroupScaler(group).zero_()
        row = {"threshold": threshold, "pruned": len(short), "accuracy": trial.accuracy()}
        for tensor, value in zip(tensors, kept, strict=True):
            tensor.copy_(value)
        return row

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
        """What goes when these groups of the penalty are short."""

    def _update(self) -> None:
        if self.phase == "training":
            self.prune()
        self._inner_step()

    def _own_state(self) -> dict[str, Any]:
        return {
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
        self._pruned = None if own["selected"] is None else tuple(own["selected"])
