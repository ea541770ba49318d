"""Groups of a proximal map that are rows of several tensors: a filter with its bias and its rows of norms.

The same questions as to `Grouping`, for channel groups, of which a network has thousands.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property

import torch
from torch import Tensor

from nasviz.optim.groups import Rows, TensorGroup
from nasviz.saliency.rows import RowIndex

__all__ = ["RowGrouping", "group_of_rows"]

_REST = -2
"""Stands for the rows that belong to no group; they follow the gradient alone."""


class RowGrouping:
    """Some groups of a `RowIndex`, and one more for all other rows of the tensors, without a penalty.

    Args:
        index: Which rows of which tensors belong to which group.
        chosen: The groups that count.
        multipliers: How much stronger the penalty of a group is; 1 where left out.

    Examples:
        >>> weight, bias = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([0.0, 1.0])
        >>> grouping = RowGrouping(RowIndex((5, 6), [(weight, 0, [5, 6]), (bias, 0, [5, 6])]), {5})
        >>> grouping.ids, grouping.sizes.tolist(), grouping.norm([weight, bias]).tolist()[:1]
        ((5,), [3.0, 3.0], [5.0])
        >>> [factor.flatten().tolist() for factor in grouping.spread(torch.tensor([0.5, 1.0]))]
        [[0.5, 1.0], [0.5, 1.0]]
    """

    def __init__(
        self,
        index: RowIndex,
        chosen: Collection[int],
        multipliers: dict[int, float] | None = None,
    ) -> None:
        self._multipliers = multipliers or {}
        wanted = set(chosen)
        self.ids = tuple(i for i in index.ids if i in wanted)
        """Of the groups, in the order of all answers, which have one number more: that of the other rows."""
        rows = [
            (tensor, dim, [group if group in wanted else _REST for group in owners])
            for tensor, dim, owners in index.table()
            if wanted.intersection(owners)
        ]
        self._index = RowIndex((*self.ids, _REST), rows)
        self.tensors = self._index.tensors
        self.device = self._index.device
        self.sizes: Tensor = self._index.num_parameters.double()
        """|w_k|, shape `(num_groups + 1,)`."""
        strengths = [self._multipliers.get(i, 1.0) for i in self.ids]
        self.multipliers: Tensor | None = torch.tensor([*strengths, 0.0], dtype=torch.float64).to(self.device)
        """By how much the penalty of each group is multiplied."""

    def __len__(self) -> int:
        return len(self.sizes)

    @cached_property
    def owner_places(self) -> Tensor:
        """For each group the place in `tensors` of the first tensor that it has rows of."""
        return self._index.first_places()

    def norm(self, values: Sequence[Tensor]) -> Tensor:
        """Euclidean norm of each group, in double precision."""
        return self._index.norm(values)

    def mean(self, values: Sequence[Tensor]) -> Tensor:
        """Mean over all entries of each group, in double precision."""
        return self._index.sums(values) / self.sizes.clamp_min(1)

    def spread(self, values: Tensor) -> list[Tensor]:
        """The values of its rows' groups for each tensor, in a shape that broadcasts against it."""
        return self._index.factors(values)

    def subset(self, keeps: Sequence[bool]) -> RowGrouping:
        """The same groups without the rows of some tensors; `keeps` goes by `tensors`."""
        table = [row for row, keep in zip(self._index.table(), keeps, strict=True) if keep]
        return RowGrouping(RowIndex(self._index.ids, table), self.ids, self._multipliers)


def group_of_rows(index: RowIndex, ids: Collection[int]) -> TensorGroup:
    """All rows that some groups of an index own, as one group.

    Examples:
        >>> bias = torch.zeros(3)
        >>> group = group_of_rows(RowIndex((5, 6), [(bias, 0, [5, 6, 5])]), [5])
        >>> [rows.index.tolist() for rows in group.rows]
        [[0, 2]]
    """
    wanted = set(ids)
    chosen = torch.tensor([i in wanted for i in index.ids], dtype=torch.bool)
    rows = zip(index.tensors, index.dims, index.rows_of(chosen.to(index.device)), strict=True)
    return TensorGroup((), tuple(Rows(tensor, dim, found) for tensor, dim, found in rows if len(found)))
