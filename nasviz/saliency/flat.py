"""One vector for many small tensors: on the CPU, copying them is cheaper than one call for each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["FlatBuffer", "are_small"]

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
