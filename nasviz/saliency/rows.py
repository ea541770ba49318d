"""Numbers per channel group: inner products and norms over groups of tensor rows.

A network has thousands of channel groups, each a few rows of many tensors. Every tensor is reduced once to
one number per row, and rows are summed by the group that owns them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nasviz.errors import InvalidSettingError
from nasviz.saliency.reductions import StructureIndex

__all__ = ["RowIndex"]


class RowIndex(StructureIndex):
    """Assignment of tensor rows to groups.

    Args:
        ids: Ids of the groups.
        rows: Each tensor with the dimension of its rows, and the group id of every row, -1 for none.

    Examples:
        >>> weight, bias = torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([0.0, 2.0])
        >>> index = RowIndex((5, 6), [(weight, 0, [5, 6]), (bias, 0, [-1, 6])])
        >>> index.num_parameters.tolist(), index.dot(index.tensors, index.tensors).tolist()
        ([2.0, 3.0], [25.0, 5.0])
        >>> [factor.flatten().tolist() for factor in index.factors(torch.tensor([0.0, 0.5]))]
        [[0.0, 0.5], [1.0, 0.5]]
    """

    def __init__(self, ids: Sequence[int], rows: Sequence[tuple[Tensor, int, Sequence[int]]]) -> None:
        super().__init__({number: [tensor] for number, (tensor, _, _) in enumerate(rows)})
        self.ids = tuple(ids)
        places: Mapping[int, int] = {group: place for place, group in enumerate(self.ids)} | {-1: len(ids)}
        self.dims: list[int] = [dim for _, dim, _ in rows]
        self._owners = [
            torch.tensor([places[group] for group in owners], device=self.device) for _, _, owners in rows
        ]
        if any(
            len(owners) != tensor.shape[dim]
            for owners, (tensor, dim, _) in zip(self._owners, rows, strict=True)
        ):
            raise InvalidSettingError("every row of a tensor needs an owner, or -1 for none")

    @property
    def num_parameters(self) -> Tensor:
        """Number of parameters |g|, shape `(num_groups,)`."""
        lengths = [
            torch.full((tensor.shape[dim],), tensor.numel() / max(1, tensor.shape[dim]), device=self.device)
            for tensor, dim in zip(self.tensors, self.dims, strict=True)
        ]
        return self._gathered(lengths)

    def dot(self, left: Sequence[Tensor | None], right: Sequence[Tensor | None]) -> Tensor:
        """Return inner products, shape `(num_groups,)`; a missing tensor counts as zeros."""
        return self._gathered(
            [
                None if x is None or y is None else (x * y).movedim(dim, 0).reshape(x.shape[dim], -1).sum(1)
                for x, y, dim in zip(left, right, self.dims, strict=True)
            ]
        )

    def sums(self, values: Sequence[Tensor]) -> Tensor:
        """Return sums of all entries, shape `(num_groups,)`, in double precision."""
        return self._gathered(
            [
                x.movedim(dim, 0).reshape(x.shape[dim], -1).sum(1)
                for x, dim in zip(values, self.dims, strict=True)
            ]
        )

    def absolute_dot(self, left: Sequence[Tensor | None], right: Sequence[Tensor | None]) -> Tensor:
        """Return sums of |x_i y_i|, shape `(num_groups,)`; a missing tensor counts as zeros."""
        sides = ([None if x is None else x.abs() for x in side] for side in (left, right))
        return self.dot(*sides)

    def norm(self, tensors: Sequence[Tensor | None]) -> Tensor:
        """Return Euclidean norms, shape `(num_groups,)`; a missing tensor counts as zeros."""
        return self.dot(tensors, tensors).sqrt()

    def factors(self, values: Tensor) -> list[Tensor]:
        """Return the values of each tensor's rows, broadcastable to it; 1 for rows without a group."""
        padded = torch.cat([values, values.new_ones(1)])
        return [
            padded[owners].to(tensor.dtype).view([-1 if d == dim else 1 for d in range(tensor.dim())])
            for tensor, dim, owners in zip(self.tensors, self.dims, self._owners, strict=True)
        ]

    def rows_of(self, is_chosen: Tensor) -> list[Tensor]:
        """Return, for each tensor, the indices of its rows that belong to a chosen group."""
        padded = torch.cat([is_chosen, is_chosen.new_zeros(1)])
        return [padded[owners].nonzero().flatten() for owners in self._owners]

    def table(self) -> list[tuple[Tensor, int, list[int]]]:
        """Return the tensors with the dimension of their rows, and the group of each row; -1 for none."""
        groups = (*self.ids, -1)
        return [
            (tensor, dim, [groups[place] for place in owners.tolist()])
            for tensor, dim, owners in zip(self.tensors, self.dims, self._owners, strict=True)
        ]

    def first_places(self) -> Tensor:
        """Return, for each group, the index in `tensors` of the first tensor with rows of it; 0 if none."""
        places = torch.zeros(len(self.ids) + 1, dtype=torch.int64, device=self.device)
        for place in reversed(range(len(self.tensors))):
            places[self._owners[place]] = place
        return places[:-1]

    def _gathered(self, lines: Sequence[Tensor | None]) -> Tensor:
        """Return sums of rows by group, in double precision."""
        total = torch.zeros(len(self.ids) + 1, dtype=torch.float64, device=self.device)
        for line, owners in zip(lines, self._owners, strict=True):
            if line is not None:
                total.index_add_(0, owners, line.to(total))
        return total[:-1]
