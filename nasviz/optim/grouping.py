"""Groups of a proximal map, all at a time: tensors that shrink together, and filters of convolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nasviz.errors import InvalidSettingError
from nasviz.saliency import StructureIndex

__all__ = ["Grouping"]


class Grouping:
    """A partition of some tensors: groups of whole tensors by id, then one group per row of each filter bank.

    Args:
        whole: For each id the tensors that make one group.
        filters: Tensors of which every slice along the first axis is a group of its own.

    Examples:
        >>> pair, bank = [torch.tensor([3.0]), torch.tensor([4.0])], torch.tensor([[6.0, 8.0], [0.0, 0.0]])
        >>> grouping = Grouping({7: pair}, [bank])
        >>> len(grouping), grouping.sizes.tolist(), grouping.norm(grouping.tensors).tolist()
        (3, [2.0, 2.0, 2.0], [5.0, 10.0, 0.0])
        >>> [factor.shape for factor in grouping.spread(torch.tensor([1.0, 2.0, 3.0]))]
        [torch.Size([]), torch.Size([]), torch.Size([2, 1])]
    """

    def __init__(self, whole: Mapping[int, Sequence[Tensor]], filters: Sequence[Tensor] = ()) -> None:
        self._index = StructureIndex(whole)
        self._filters = list(filters)
        if {id(t) for t in self._filters} & {id(t) for t in self._index.tensors}:
            raise InvalidSettingError("a tensor is part of a group as a whole, and filter by filter")
        self.ids = self._index.ids
        """Of the groups of whole tensors, which come first."""
        self.tensors = [*self._index.tensors, *self._filters]
        device = self.tensors[0].device if self.tensors else torch.device("cpu")
        rows = [t.new_full((t.shape[0],), t[0].numel(), dtype=torch.float64) for t in self._filters]
        self.sizes: Tensor = torch.cat([self._index.num_parameters.to(device), *rows])
        """|w_k|, shape `(num_groups,)`."""

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def owners(self) -> list[Tensor]:
        """One tensor of each group: the first of its tensors, or the bank that it is a filter of."""
        first: dict[int, Tensor] = {}
        for number, tensor in zip(self._numbers(), self._index.tensors, strict=True):
            first.setdefault(number, tensor)
        return [*first.values(), *(bank for bank in self._filters for _ in range(bank.shape[0]))]

    def norm(self, values: Sequence[Tensor]) -> Tensor:
        """Euclidean norm of each group, shape `(num_groups,)`, in double precision."""
        split = len(self._index.tensors)
        rows = [torch.linalg.vector_norm(v.flatten(1), dim=1).double() for v in values[split:]]
        return torch.cat([self._index.norm(values[:split]), *rows])

    def mean(self, values: Sequence[Tensor]) -> Tensor:
        """Mean over all entries of each group, shape `(num_groups,)`, in double precision."""
        split = len(self._index.tensors)
        sums = [v.sum(dtype=torch.float64) for v in values[:split]]
        whole = self._index.per_structure(torch.stack(sums)) if sums else self._index.num_parameters
        rows = [v.flatten(1).sum(1, dtype=torch.float64) for v in values[split:]]
        return torch.cat([whole, *rows]) / self.sizes

    def spread(self, values: Tensor) -> list[Tensor]:
        """The value of its group for each tensor, in a shape that broadcasts against it."""
        num_whole = len(self.ids)
        singles = self._index.per_tensor(values[:num_whole]) if num_whole else values[:0]
        found = [v.to(t.dtype) for v, t in zip(singles.unbind(), self._index.tensors, strict=True)]
        rows = torch.split(values[num_whole:], [bank.shape[0] for bank in self._filters])
        return [
            *found,
            *(
                row.to(bank.dtype).view(-1, *[1] * (bank.dim() - 1))
                for row, bank in zip(rows, self._filters, strict=True)
            ),
        ]

    def subset(self, keeps: Sequence[bool]) -> Grouping:
        """The groups of which at least one tensor is to be kept; `keeps` goes by `tensors`."""
        numbers = self._numbers()
        split = len(numbers)
        wanted = {number for number, keep in zip(numbers, keeps[:split], strict=True) if keep}
        whole = {
            i: [t for m, t in zip(numbers, self._index.tensors, strict=True) if m == n]
            for n, i in enumerate(self.ids)
            if n in wanted
        }
        return Grouping(whole, [b for b, keep in zip(self._filters, keeps[split:], strict=True) if keep])

    def _numbers(self) -> list[int]:
        """For each tensor of a whole group the place of that group."""
        places = torch.arange(len(self.ids), device=self._index.device)
        numbers: list[int] = self._index.per_tensor(places).tolist() if self.ids else []
        return numbers
