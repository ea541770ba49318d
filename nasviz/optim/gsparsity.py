"""GSparsity: operations go by group sparsity alone, in one level (Chatzimichailidis et al. 2022).

A search by ProxSGD, whose penalty draws whole operations to zero; then everything shorter than a threshold is
pruned, and what is left trains on without the penalty. Pruning changes no output, unless a structure entails
rows of later norms or biases, behind a concatenation: these the penalty leaves alone, and they go with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nasviz.optim.groups import TensorGroup, merge
from nasviz.optim.penalty_search import THRESHOLD, PenaltySearch
from nasviz.optim.proxsgd import ProxSGD
from nasviz.saliency import StructureIndex

__all__ = ["GSparsity"]


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
        tied: For each structure the id of its group in `inner`; itself when left out.

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
        threshold: float = THRESHOLD,
        tied: Mapping[int, int] | None = None,
    ) -> None:
        self._groups, self._check, self._group_of = dict(groups), check, group_of
        self._tied = dict(tied) if tied else {i: i for i in groups}
        index = StructureIndex({i: group.tensors for i, group in groups.items()})
        rows = (row.tensor for group in groups.values() for row in group.rows)
        super().__init__(inner, index, rows, projection_steps=projection_steps, threshold=threshold)

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

    def group_of(self, structures: Sequence[int]) -> TensorGroup:
        """All that must be zero when these structures go; what they own where they cut the network apart."""
        ids = tuple(structures)
        if ids and self._check(ids):
            return self._group_of(ids)
        return merge([self._groups[i] for i in ids])

    def _in(self, groups: frozenset[int]) -> tuple[int, ...]:
        """Tied structures go by their length together."""
        return tuple(i for i in self.structure_ids if self._tied[i] in groups)
