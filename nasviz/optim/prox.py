"""Proximal maps, as pure functions of tensors, and the groups of tensors, slices or rows that they act on.

A map is argmin over y of penalty(y) + ||y - x||^2 / 2. The half-space projection, which is no proximal map,
is in `halfspace`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from nasviz.errors import InvalidSettingError
from nasviz.optim.groups import Rows, TensorGroup
from nasviz.saliency import StructureIndex
from nasviz.saliency.reductions import RowIndex

__all__ = [
    "Grouping",
    "RowGrouping",
    "Slices",
    "group_factor",
    "group_of_rows",
    "group_threshold",
    "soft_threshold",
    "sparse_group_threshold",
]


def soft_threshold(x: Tensor, threshold: float | Tensor) -> Tensor:
    """Map of threshold ||y||_1: every entry closer to 0, and not past it (SparseNAS, equation 9).

    Args:
        x: Any shape.
        threshold: Not negative; a tensor has one for each entry.

    Examples:
        >>> soft_threshold(torch.tensor([0.5, -0.2, 0.05]), 0.05).tolist()
        [0.44999998807907104, -0.15000000596046448, 0.0]
    """
    return x.sign() * (x.abs() - threshold).clamp_min(0)


def group_factor(norm: Tensor, threshold: float | Tensor) -> Tensor:
    """Return the factor of a group in the proximal map: (1 - threshold / norm)_+, 0 for an empty norm.

    Args:
        norm: Of each group.
        threshold: Not negative; for all groups, or of each.

    Examples:
        >>> group_factor(torch.tensor([2.0, 0.5, 0.0]), 1.0).tolist()
        [0.5, 0.0, 0.0]
    """
    is_longer = norm > threshold
    return torch.where(is_longer, 1 - threshold / torch.where(is_longer, norm, 1.0), 0.0)


def group_threshold(x: Tensor, threshold: float | Tensor) -> Tensor:
    """Map of threshold ||y||: the whole group shorter by it, zero where it is not longer (GSparsity, eq. 2).

    Examples:
        >>> group_threshold(torch.tensor([3.0, 4.0]), 1.0)
        tensor([2.4000, 3.2000])
        >>> group_threshold(torch.tensor([0.3, 0.4]), 1.0)
        tensor([0., 0.])
    """
    return x * group_factor(torch.linalg.vector_norm(x), threshold)


def sparse_group_threshold(x: Tensor, l1: float | Tensor, l2: float | Tensor) -> Tensor:
    """Map of l1 ||y||_1 + l2 ||y||: entries first, then the group; in this order it is the exact map.

    References:
        SparseNAS, equation (5); Bach et al., Optimization with sparsity-inducing penalties, section 3.3.

    Examples:
        >>> sparse_group_threshold(torch.tensor([0.5, -0.2, 0.05]), 0.05, 3**0.5 * 0.05)
        tensor([ 0.3678, -0.1226,  0.0000])
    """
    return group_threshold(soft_threshold(x, l1), l2)


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """A tensor of which every slice along one axis is a group: a filter, or the weights of a neuron."""

    tensor: Tensor
    dim: int = 0

    @property
    def others(self) -> tuple[int, ...]:
        """The axes along which a group runs."""
        return tuple(d for d in range(self.tensor.dim()) if d != self.dim)


class Grouping:
    """A partition of some tensors: groups of whole tensors by id, then the slices of further tensors.

    Args:
        whole: For each id the tensors that make one group.
        slices: Tensors of at least two axes; every slice is a group of its own.

    Raises:
        InvalidSettingError: A tensor is in two groups.

    Examples:
        >>> pair, bank = [torch.tensor([3.0]), torch.tensor([4.0])], torch.tensor([[6.0, 8.0], [0.0, 0.0]])
        >>> grouping = Grouping({7: pair}, [Slices(bank)])
        >>> len(grouping), grouping.sizes.tolist(), grouping.norm(grouping.tensors).tolist()
        (3, [2.0, 2.0, 2.0], [5.0, 10.0, 0.0])
        >>> [factor.shape for factor in grouping.spread(torch.tensor([1.0, 2.0, 3.0]))]
        [torch.Size([]), torch.Size([]), torch.Size([2, 1])]
    """

    def __init__(self, whole: Mapping[int, Sequence[Tensor]], slices: Iterable[Slices] = ()) -> None:
        self._index = StructureIndex(whole)
        self._slices = list(slices)
        banks = [s.tensor for s in self._slices]
        self.tensors = [*self._index.tensors, *banks]
        if len({id(tensor) for tensor in self.tensors}) < len(self.tensors):
            raise InvalidSettingError("a tensor is in a group as a whole, and slice by slice")
        self.ids = self._index.ids
        """Of the groups of whole tensors, which come first."""
        self.device = self.tensors[0].device if self.tensors else torch.device("cpu")
        counts = [
            torch.full((b.shape[s.dim],), b.numel() // b.shape[s.dim], dtype=torch.float64)
            for s, b in zip(self._slices, banks, strict=True)
        ]
        self.sizes: Tensor = torch.cat([self._index.num_parameters.cpu(), *counts]).to(self.device)
        """|w_k|, shape `(num_groups,)`."""
        self.multipliers: Tensor | None = None
        """By how much the penalty of each group is multiplied; `None` for nothing."""
        self._lengths = [bank.shape[s.dim] for s, bank in zip(self._slices, banks, strict=True)]

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def owners(self) -> list[Tensor]:
        """One tensor of each group: the first of its tensors, or the one that it is a slice of."""
        first: dict[int, Tensor] = {}
        for number, tensor in zip(self._numbers(), self._index.tensors, strict=True):
            first.setdefault(number, tensor)
        return [
            *first.values(),
            *(s.tensor for s, n in zip(self._slices, self._lengths, strict=True) for _ in range(n)),
        ]

    @cached_property
    def owner_places(self) -> Tensor:
        """For each group the place in `tensors` of its owner, shape `(num_groups,)`."""
        places = {id(tensor): place for place, tensor in enumerate(self.tensors)}
        return torch.tensor([places[id(t)] for t in self.owners], dtype=torch.int64, device=self.device)

    def norm(self, values: Sequence[Tensor]) -> Tensor:
        """Euclidean norm of each group, shape `(num_groups,)`, in double precision."""
        whole, banks = self._split(values)
        norms = [torch.linalg.vector_norm(v, dim=s.others).double() for s, v in banks]
        return torch.cat([self._index.norm(whole).to(self.device), *norms])

    def mean(self, values: Sequence[Tensor]) -> Tensor:
        """Mean over all entries of each group, shape `(num_groups,)`, in double precision."""
        whole, banks = self._split(values)
        sums = [v.sum(dtype=torch.float64) for v in whole]
        total = self._index.per_structure(torch.stack(sums)) if sums else self._index.num_parameters
        rows = [v.sum(s.others, dtype=torch.float64) for s, v in banks]
        return torch.cat([total.to(self.device), *rows]) / self.sizes

    def median(self, values: Sequence[Tensor]) -> Tensor:
        """Median over all entries of each group, the lower one of two, shape `(num_groups,)`."""
        whole, banks = self._split(values)
        members: dict[int, list[Tensor]] = {}
        for number, value in zip(self._numbers(), whole, strict=True):
            members.setdefault(number, []).append(value.flatten())
        middles = [torch.cat(parts).median().double().reshape(1) for parts in members.values()]
        rows = [v.movedim(s.dim, 0).flatten(1).median(1).values.double() for s, v in banks]
        return torch.cat([*middles, *rows]) if middles or rows else self.sizes

    def spread(self, values: Tensor) -> list[Tensor]:
        """The value of its group for each tensor, in a shape that broadcasts against it."""
        split = len(self.ids)
        singles = self._index.per_tensor(values[:split]) if split else values[:0]
        found = [v.to(t.dtype) for v, t in zip(singles.unbind(), self._index.tensors, strict=True)]
        pieces = torch.split(values[split:], self._lengths)
        for s, piece in zip(self._slices, pieces, strict=True):
            shape = [-1 if d == s.dim else 1 for d in range(s.tensor.dim())]
            found.append(piece.to(s.tensor.dtype).view(shape))
        return found

    def subset(self, keeps: Sequence[bool]) -> Grouping:
        """The groups of which at least one tensor is to be kept; `keeps` goes by `tensors`."""
        numbers = self._numbers()
        split = len(numbers)
        wanted = {number for number, keep in zip(numbers, keeps[:split], strict=True) if keep}
        whole: dict[int, list[Tensor]] = {i: [] for n, i in enumerate(self.ids) if n in wanted}
        for number, tensor in zip(numbers, self._index.tensors, strict=True):
            if number in wanted:
                whole[self.ids[number]].append(tensor)
        return Grouping(whole, [s for s, keep in zip(self._slices, keeps[split:], strict=True) if keep])

    def _split(self, values: Sequence[Tensor]) -> tuple[Sequence[Tensor], list[tuple[Slices, Tensor]]]:
        """Values of the whole tensors, and those of the sliced ones with their slices."""
        split = len(self._index.tensors)
        return values[:split], list(zip(self._slices, values[split:], strict=True))

    def _numbers(self) -> list[int]:
        """Return for each tensor of a whole group the place of that group."""
        places = torch.arange(len(self.ids), device=self._index.device)
        numbers: list[int] = self._index.per_tensor(places).tolist() if self.ids else []
        return numbers


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
