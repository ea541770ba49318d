"""Numbers per removal structure or channel group: inner products and norms over its tensors or rows.

All saliencies and the half-space test of H2SPG are built from these. For thousands of tensors the cost is
that of reading them once: tensors are reduced together, and only vectors with one entry per tensor are
segmented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import torch
from torch import Tensor
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

from nasviz.errors import InvalidSettingError

__all__ = ["FlatBuffer", "Reductions", "RowIndex", "StructureIndex", "are_small", "gradients"]

SMALL_TENSOR = 4096
"""Mean elements per tensor below which, on the CPU, calls cost more than copies."""


def are_small(tensors: Sequence[Tensor]) -> bool:
    """Return whether these are many small tensors of one dtype on the CPU.

    Examples:
        >>> are_small([torch.ones(9), torch.ones(2, 2)]), are_small([torch.ones(5000)])
        (True, False)
    """
    kinds = {(tensor.dtype, tensor.device.type) for tensor in tensors}
    is_one_kind = len(kinds) == 1 and next(iter(kinds))[1] == "cpu"
    return is_one_kind and sum(tensor.numel() for tensor in tensors) < SMALL_TENSOR * len(tensors)


class FlatBuffer:
    """A vector with one view per tensor, in reusable memory.

    Examples:
        >>> tensors = [torch.ones(2), torch.full((1, 1), 3.0)]
        >>> buffer = FlatBuffer(tensors)
        >>> buffer.gather(tensors).mul_(2)
        tensor([2., 2., 6.])
        >>> buffer.scatter_(tensors)
        >>> tensors
        [tensor([2., 2.]), tensor([[6.]])]
    """

    def __init__(self, like: Sequence[Tensor]) -> None:
        sizes = [tensor.numel() for tensor in like]
        self.vector = torch.empty(sum(sizes), dtype=like[0].dtype, device=like[0].device)
        pieces = torch.split(self.vector, sizes)
        self.views = [piece.view(tensor.shape) for piece, tensor in zip(pieces, like, strict=True)]

    def gather(self, tensors: Sequence[Tensor]) -> Tensor:
        """Copy these tensors into the vector, and return it."""
        torch._foreach_copy_(self.views, list(tensors))
        return self.vector

    def scatter_(self, tensors: Sequence[Tensor]) -> None:
        """Copy the vector back into tensors."""
        torch._foreach_copy_(list(tensors), self.views)


_flatten: Callable[[Sequence[Tensor]], Tensor] = _flatten_dense_tensors
_unflatten: Callable[[Tensor, Sequence[Tensor]], tuple[Tensor, ...]] = _unflatten_dense_tensors


class StructureIndex:
    """Assignment of tensors to structures, in one flat order.

    Sums over tensors use double precision: before a normalization layer, `x` and its gradient are nearly
    orthogonal, so their inner product is much smaller than its terms.

    Examples:
        >>> index = StructureIndex({7: [torch.tensor([3.0, 4.0])], 9: [torch.ones(2, 2), torch.ones(1)]})
        >>> index.ids, index.num_parameters.tolist(), index.norm(index.tensors)[0].item()
        ((7, 9), [2.0, 5.0], 5.0)
        >>> index.dot(index.tensors, [torch.tensor([1.0, -1.0]), None, torch.ones(1)]).tolist()
        [-1.0, 1.0]
    """

    def __init__(self, tensors: Mapping[int, Sequence[Tensor]]) -> None:
        self.ids: tuple[int, ...] = tuple(tensors)
        self.tensors: list[Tensor] = [tensor for owned in tensors.values() for tensor in owned]
        if len({id(tensor) for tensor in self.tensors}) < len(self.tensors):
            raise InvalidSettingError(
                "a tensor belongs to two structures; shared parameters must stay outside all of them"
            )
        first = self.tensors[0] if self.tensors else torch.empty(0)
        self.device: torch.device = first.device
        self.dtype: torch.dtype = reduce(
            torch.promote_types, (tensor.dtype for tensor in self.tensors), torch.float32
        )
        self._is_uniform = all(t.dtype == self.dtype and t.device == self.device for t in self.tensors)
        sizes = [tensor.numel() for tensor in self.tensors]
        self._is_flat = self.device.type != "cpu" or not self._is_uniform
        self._is_small = self._is_uniform and are_small(self.tensors)
        self._sizes = torch.tensor(sizes, device=self.device, dtype=torch.int64)
        self._num_elements = sum(sizes)
        self._starts = np.cumsum([0, *sizes[:-1]]) if all(sizes) else None
        counts = [len(owned) for owned in tensors.values()]
        self._counts = torch.tensor(counts, device=self.device, dtype=torch.int64)

    @cached_property
    def num_parameters(self) -> Tensor:
        """Number of parameters |g|, shape `(num_structures,)`."""
        return self.per_structure(self._sizes.double())

    def dot(self, left: Sequence[Tensor | None], right: Sequence[Tensor | None]) -> Tensor:
        """Return inner products, shape `(num_structures,)`; a missing tensor counts as zeros."""
        return self._summed(left, right, is_absolute=False)

    def absolute_dot(self, left: Sequence[Tensor | None], right: Sequence[Tensor | None]) -> Tensor:
        """Return sums of |x_i y_i|, shape `(num_structures,)`; a missing tensor counts as zeros."""
        return self._summed(left, right, is_absolute=True)

    def dot_and_norms(
        self, left: Sequence[Tensor | None], right: Sequence[Tensor | None]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `dot` and `norm` return, with one copy of small tensors instead of four."""
        xs, ys = self._found(left), self._found(right)
        if not (self._is_small and len(xs) == len(ys) == len(self.tensors)):
            return self.dot(left, right), self.norm(left), self.norm(right)
        x, y = self._vector(0, xs), self._vector(1, ys)
        return self.per_structure(self._sums(x * y)), self.norm_of(x), self.norm_of(y)

    def norm(self, tensors: Sequence[Tensor | None]) -> Tensor:
        """Return Euclidean norms, shape `(num_structures,)`; a missing tensor counts as zeros."""
        found = self._found(tensors)
        if self._is_small and len(found) == len(self.tensors):
            return self.norm_of(self._vector(0, found))
        norms = torch.stack(torch._foreach_norm(found)) if found else torch.zeros(0, device=self.device)
        return self.per_structure(self._spread(norms, tensors).square()).sqrt()

    def norm_of(self, vector: Tensor) -> Tensor:
        """Return the norms of tensors that are concatenated in a vector on the CPU."""
        return self.per_structure(self._sums(vector.square())).sqrt()

    def per_tensor(self, values: Tensor) -> Tensor:
        """Repeat each structure's value for each of its tensors, shape `(num_tensors,)`."""
        return torch.repeat_interleave(values, self._counts, output_size=len(self.tensors))

    def filled(self, values: Tensor) -> tuple[Tensor, ...]:
        """Return tensors of the shapes of the index, each filled with its value, without synchronization.

        Args:
            values: One value per tensor.
        """
        flat = torch.repeat_interleave(values.to(self.dtype), self._sizes, output_size=self._num_elements)
        return _unflatten(flat, self.tensors)

    def _summed(
        self, left: Sequence[Tensor | None], right: Sequence[Tensor | None], *, is_absolute: bool
    ) -> Tensor:
        pairs = [None if x is None or y is None else (x, y) for x, y in zip(left, right, strict=True)]
        xs, ys = (self._found([pair and pair[side] for pair in pairs]) for side in (0, 1))
        is_whole = len(xs) == len(self.tensors)
        if not xs:
            sums = torch.zeros(0, device=self.device)
        elif self._is_small and is_whole:
            products = self._vector(0, xs) * self._vector(1, ys)
            sums = self._sums(products.abs_() if is_absolute else products)
        elif self._is_flat:
            products = _flatten(torch._foreach_mul(xs, ys))
            lengths = self._sizes if is_whole else self._sizes[self._places(pairs)]
            sums = torch.segment_reduce(
                products.abs_() if is_absolute else products, "sum", lengths=lengths, initial=0
            )
        elif is_absolute:
            sums = torch.stack([(x * y).abs_().sum() for x, y in zip(xs, ys, strict=True)])
        else:  # on the CPU this avoids copies, and there is no kernel launch to save
            sums = torch.stack([torch.dot(x.reshape(-1), y.reshape(-1)) for x, y in zip(xs, ys, strict=True)])
        return self.per_structure(self._spread(sums, pairs))

    def _vector(self, number: int, tensors: Sequence[Tensor]) -> Tensor:
        """Copy all tensors into one of two vectors."""
        return self._buffers[number].gather(tensors)

    def _sums(self, vector: Tensor) -> Tensor:
        """Return the sum over each tensor of a concatenated vector, in double precision."""
        if self._starts is None:  # a tensor without elements
            return torch.segment_reduce(vector, "sum", lengths=self._sizes, initial=0).double()
        # Four times as fast as segment_reduce, and pairwise summation rounds less.
        return torch.from_numpy(np.add.reduceat(vector.numpy(), self._starts)).double()

    @cached_property
    def _buffers(self) -> tuple[FlatBuffer, FlatBuffer]:
        return FlatBuffer(self.tensors), FlatBuffer(self.tensors)

    def _found(self, tensors: Sequence[Tensor | None]) -> list[Tensor]:
        """Return the present tensors, with one dtype of at least single precision and on one device."""
        found = [tensor for tensor in tensors if tensor is not None]
        return found if self._is_uniform else [t.to(self.device, self.dtype) for t in found]

    def _spread(self, values: Tensor, found: Sequence[object | None]) -> Tensor:
        """Return one double per tensor of the index, zero where `found` is missing."""
        if len(values) == len(self.tensors):
            return values.double()
        whole = torch.zeros(len(self.tensors), dtype=torch.float64, device=self.device)
        whole[self._places(found)] = values.double()
        return whole

    def _places(self, found: Sequence[object | None]) -> Tensor:
        """Return the indices of present items on the device, without synchronization."""
        places = [i for i, something in enumerate(found) if something is not None]
        return torch.tensor(places, dtype=torch.int64).to(self.device, non_blocking=True)

    def per_structure(self, values: Tensor) -> Tensor:
        """Return sums over the tensors of each structure, shape `(num_structures,)`.

        Args:
            values: One double per tensor.
        """
        if not self.tensors:
            return torch.zeros(len(self.ids), dtype=torch.float64, device=self.device)
        return torch.segment_reduce(values, "sum", lengths=self._counts, initial=0)


@dataclass
class Reductions:
    """Numbers of the structures at one iterate that a saliency may use; each is computed on first access."""

    index: StructureIndex
    values: Sequence[Tensor]
    """Variables x, in the order of the index."""
    gradients: Sequence[Tensor | None]
    """Raw gradient of the loss at x, without momentum and weight decay."""
    directions: Sequence[Tensor | None]
    """Direction d: the update subtracted from x over the learning rate, or the raw gradient."""

    @property
    def num_parameters(self) -> Tensor:
        """|g|."""
        return self.index.num_parameters

    @cached_property
    def norm(self) -> Tensor:
        """||x_g||."""
        return self.index.norm(self.values)

    @cached_property
    def gradient_dot(self) -> Tensor:
        """<x_g, grad f_g>."""
        return self.index.dot(self.values, self.gradients)

    @cached_property
    def gradient_sensitivity(self) -> Tensor:
        """Sum of |x_i df/dx_i| over the variables of each structure."""
        return self.index.absolute_dot(self.values, self.gradients)

    @cached_property
    def direction_dot(self) -> Tensor:
        """<x_g, d_g>."""
        return self.index.dot(self.values, self.directions)

    @cached_property
    def direction_norm(self) -> Tensor:
        """||d_g||."""
        return self.index.norm(self.directions)


def gradients(tensors: Sequence[Tensor]) -> list[Tensor | None]:
    """Return the gradient of each tensor; `None` if the last backward pass did not reach it.

    Raises:
        InvalidSettingError: A gradient is sparse.
    """
    found = [tensor.grad for tensor in tensors]
    if any(grad is not None and grad.layout != torch.strided for grad in found):
        raise InvalidSettingError(
            "a removal structure has a sparse gradient; build its embedding with sparse=False"
        )
    return found


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

    def dot_and_norms(
        self, left: Sequence[Tensor | None], right: Sequence[Tensor | None]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `dot` and `norm` return, with one copy of small tensors instead of four."""
        xs, ys = self._found(left), self._found(right)
        if not (self._is_small and len(xs) == len(ys) == len(self.tensors)):
            return self.dot(left, right), self.norm(left), self.norm(right)
        x, y = self._vector(0, xs), self._vector(1, ys)
        return self.per_structure(self._sums(x * y)), self.norm_of(x), self.norm_of(y)

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
