"""GSparsity: operations go by group sparsity alone, in one level (Chatzimichailidis et al. 2022).

A search by ProxSGD, whose penalty draws whole operations to zero; then everything shorter than a threshold is
pruned, and what is left trains on without the penalty. Pruning changes no output, unless a structure entails
rows of later norms or biases, behind a concatenation: these the penalty leaves alone, and they go with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nasviz.errors import CheckpointError, InvalidSettingError
from nasviz.optim.checks import not_negative, positive_steps
from nasviz.optim.group_optimizer import GroupOptimizer
from nasviz.optim.groups import TensorGroup, merge
from nasviz.optim.proxsgd import ProxSGD
from nasviz.saliency import StructureIndex

__all__ = ["GSparsity"]

THRESHOLD = 1e-6
REASON = "group sparsity"


class GSparsity(GroupOptimizer):
    """ProxSGD for a search, pruning at its end, and then the same steps without a penalty.

    Args:
        inner: ProxSGD over all parameters, with a group for each structure, or for tied ones together.
        groups: What each structure owns and entails.
        check: Whether the network stays connected without these structures.
        group_of: Everything that must be zero when these structures go; asked where they may go together.
        projection_steps: Steps of the search.
        threshold: Structures of at most this length are pruned at the end of the search, tied ones by their
            length together.
        tied: For each structure the id of its group in `inner`; itself when left out.

    Examples:
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
        threshold: float = THRESHOLD,
        tied: Mapping[int, int] | None = None,
    ) -> None:
        if not isinstance(inner, ProxSGD):
            raise InvalidSettingError(f"GSparsity needs ProxSGD inside, not {type(inner).__name__}")
        self.projection_steps = positive_steps("projection_steps", projection_steps)
        self.threshold = not_negative("threshold", threshold)
        self._groups, self._check, self._group_of = dict(groups), check, group_of
        self._index = StructureIndex({i: group.tensors for i, group in groups.items()})
        self._tied = dict(tied) if tied else {i: i for i in groups}
        self._grouping = inner.grouping
        self._selected: tuple[int, ...] | None = None
        self.pruning: dict[str, Any] | None = None
        """What whoever ended the search found about it, plain data; saved with the state."""
        rows = (row.tensor for group in groups.values() for row in group.rows)
        super().__init__(inner, (*self._index.tensors, *rows))

    @property
    def phase(self) -> str:
        """`projection` for the search, `training` once it has ended."""
        return "projection" if self.num_steps < self.projection_steps else "training"

    @property
    def structure_ids(self) -> tuple[int, ...]:
        """The structures, in the order of `norm_vector`."""
        return self._index.ids

    @property
    def selected(self) -> tuple[int, ...]:
        """The structures that were pruned; empty until then."""
        return self._selected or ()

    @property
    def orphaned(self) -> tuple[int, ...]:
        """Always empty: the length of a structure decides alone."""
        return ()

    @property
    def is_valid(self) -> bool:
        """Whether the network stays connected without what was pruned."""
        return self._check(self.selected)

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
    def num_zero(self) -> Tensor:
        """How many structures are no longer than the threshold, on the device."""
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
        """||x_g|| of each structure as it is now, on the device, in the order of `structure_ids`."""
        return self._index.norm(self._index.tensors)

    @torch.no_grad()
    def shorter_than(self, threshold: float) -> tuple[int, ...]:
        """The structures whose group has at most this length; the host waits for the device."""
        grouping = self._grouping
        lengths: Sequence[float] = grouping.norm(grouping.tensors).tolist()
        short = {i for i, norm in zip(grouping.ids, lengths, strict=False) if norm <= threshold}
        return tuple(i for i in self.structure_ids if self._tied[i] in short)

    def prune(self) -> None:
        """End the search: hold what has become short at zero, and drop the penalty; once."""
        if self._selected is not None:
            return
        self._selected = self.shorter_than(self.threshold)
        self._drop_penalty()
        if self._selected:
            self._hold_at_zero(self.group_of(self._selected))

    def group_of(self, structures: tuple[int, ...]) -> TensorGroup:
        """All that must be zero when these structures go; what they own where they cut the network apart."""
        if structures and self._check(structures):
            return self._group_of(structures)
        return merge([self._groups[i] for i in structures])

    def _drop_penalty(self) -> None:
        for group in self.param_groups:
            group["mu"] = 0.0

    def _update(self) -> None:
        if self.phase == "training":
            self.prune()
        self._inner_step()

    def _own_state(self) -> dict[str, Any]:
        return {
            "structures": list(self.structure_ids),
            "selected": None if self._selected is None else list(self._selected),
            "projection_steps": self.projection_steps,
            "threshold": self.threshold,
            "pruning": self.pruning,
        }

    def _check_own_state(self, own: dict[str, Any]) -> None:
        if own["structures"] != list(self.structure_ids):
            raise CheckpointError(
                f"this state is of {len(own['structures'])} structures, this optimizer has"
                f" {len(self.structure_ids)} or others; generate the search space from the same network"
            )

    def _load_own_state(self, own: dict[str, Any]) -> None:
        self.projection_steps, self.threshold = own["projection_steps"], own["threshold"]
        self.pruning = own["pruning"]
        self._selected = None if own["selected"] is None else tuple(own["selected"])
