"""Numbers per removal structure: inner products and norms over the concatenation of a structure's tensors.

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
from nasviz.saliency.flat import FlatBuffer, are_small

__all__ = ["Reductions", "StructureIndex", "gradients"]

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
