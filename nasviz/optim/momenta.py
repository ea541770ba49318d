"""Momentum buffers of SGD side by side in one vector: what the last step did is then read in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from nasviz.optim.directions import learning_rates
from nasviz.saliency import StructureIndex
from nasviz.saliency.flat import FlatBuffer, are_small

__all__ = ["Momenta"]


class Momenta:
    """The buffers of many small tensors, moved into one vector; for SGD they stay what they were.

    A step of SGD with momentum subtracts lr times the buffer, as the buffer is after it. So its length, and
    the point where it began, can be told when it has been made.

    Args:
        inner: SGD with a momentum buffer for each tensor of the index, without Nesterov's.
        index: The structures with their own tensors.

    Examples:
        >>> x = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> sgd = SGD([x], lr=0.5, momentum=0.9)
        >>> x.grad = torch.tensor([2.0, 6.0])
        >>> sgd.step()
        >>> momenta = Momenta(sgd, StructureIndex({1: [x]}))
        >>> momenta.norm().item(), momenta.origins()
        (6.324555320336759, [tensor([3., 4.])])
    """

    def __init__(self, inner: Optimizer, index: StructureIndex) -> None:
        self._inner, self._index = inner, index
        buffers = [inner.state[tensor]["momentum_buffer"] for tensor in index.tensors]
        self._flat = FlatBuffer(buffers)
        self._flat.gather(buffers)
        for tensor, view in zip(index.tensors, self._flat.views, strict=True):
            inner.state[tensor]["momentum_buffer"] = view

    @classmethod
    def found(cls, inner: Optimizer, index: StructureIndex) -> Momenta | None:
        """Those of an optimizer, where it pays and the step can be told from them."""
        if not (type(inner) is SGD and are_small(index.tensors)):
            return None
        buffers = [inner.state.get(tensor, {}).get("momentum_buffer") for tensor in index.tensors]
        are_alike = all(
            buffer is not None and buffer.dtype == tensor.dtype and buffer.shape == tensor.shape
            for buffer, tensor in zip(buffers, index.tensors, strict=True)
        )
        return cls(inner, index) if are_alike else None

    def tell_steps(self, groups: list[dict[str, Any]]) -> bool:
        """Whether steps by these parameter groups are still lr times the buffers that were moved."""
        state: Mapping[str, Any] = self._inner.state.get(self._index.tensors[0], {})
        is_ours = state.get("momentum_buffer") is self._flat.views[0]
        # A fused step may leave everything as it is, where a scaler has found an overflow.
        return is_ours and all(g["momentum"] and not g["nesterov"] and not g["fused"] for g in groups)

    def norm(self) -> Tensor:
        """The length of each structure's buffer."""
        return self._index.norm_of(self._flat.vector)

    @torch.no_grad()
    def origins(self) -> list[Tensor]:
        """Where the step that was just made began, up to rounding: x + lr buffer, if it had a gradient."""
        tensors = self._index.tensors
        rates = learning_rates(tensors, self._inner.param_groups)
        moved = [rate * (tensor.grad is not None) for rate, tensor in zip(rates, tensors, strict=True)]
        return list(torch._foreach_add(torch._foreach_mul(self._flat.views, moved), tensors))
