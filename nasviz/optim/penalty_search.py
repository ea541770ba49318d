"""What searches by a penalty share: ProxSGD draws groups to zero, the short ones go, the rest trains on.

What a group is differs: operations (`GSparsity`), or channels inside of them (`FilterSparsity`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from nasviz.errors import CheckpointError, InvalidSettingError
from nasviz.optim.checks import not_negative, positive_steps
from nasviz.optim.group_optimizer import GroupOptimizer
from nasviz.optim.groups import TensorGroup
from nasviz.optim.proxsgd import ProxSGD
from nasviz.saliency import StructureIndex, gradient_cosine

__all__ = ["REASON", "THRESHOLD", "PenaltySearch"]

REASON = "group sparsity"
THRESHOLD = 1e-6


class PenaltySearch(GroupOptimizer):
    """ProxSGD for a search, pruning at its end, and then the same steps without a penalty.

    Args:
        inner: ProxSGD over all parameters, with the groups of the penalty.
        index: What may go.
        others: Tensors that go with it.
        projection_steps: Steps of the search.
        threshold: Groups of at most this length are pruned at the end of the search.
    """

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
        self.pruning: dict[str, Any] | None = None
        """What whoever ended the search found about it, plain data; saved with the state."""
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
    def structure_ids(self) -> tuple[int, ...]:
        """The removal structures under the penalty: none, where what may go is inside of them."""
        return ()

    @property
    def selected(self) -> tuple[int, ...]:
        """The structures that were pruned; empty until then."""
        return ()

    @property
    def orphaned(self) -> tuple[int, ...]:
        """Always empty: the length of a group decides alone."""
        return ()

    @property
    def zeroed_by(self) -> dict[int, str]:
        """What made each structure zero that is so for good."""
        return dict.fromkeys(self.selected, REASON)

    @property
    def zeroed_at(self) -> dict[int, int]:
        """The step at which each structure became zero for good: the last one of the search."""
        return dict.fromkeys(self.selected, self.projection_steps - 1)

    @property
    def known_zero(self) -> frozenset[int]:
        """Those of `zeroed_by`: pruning waits for the device, nothing else does."""
        return frozenset(self.selected)

    @property
    @torch.no_grad()
    def num_zero(self) -> Tensor:
        """How many of what may go is no longer than the threshold, on the device."""
        return (self.norm_vector() <= self.threshold).sum()

    @property
    def scores(self) -> dict[int, float]:
        """Always empty: nothing is ranked."""
        return {}

    @property
    def score_vector(self) -> Tensor | None:
        """Always `None`: nothing is ranked."""
        return None

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
