"""What an optimizer did to each tensor: its learning rate, and its direction whatever rule it follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["ParameterHistory", "learning_rates"]


def learning_rates(tensors: Sequence[Tensor], groups: Sequence[Mapping[str, Any]]) -> list[float]:
    """The rate of each tensor in an optimizer's parameter groups; 0 for one that it does not train."""
    rates = {id(parameter): float(group["lr"]) for group in groups for parameter in group["params"]}
    return [rates.get(id(tensor), 0.0) for tensor in tensors]


class ParameterHistory:
    """Where tensors were before a step, and how the step moved them, in memory that is used again.

    Examples:
        >>> x = torch.tensor([3.0])
        >>> history = ParameterHistory([x])
        >>> before = history.start()
        >>> x -= 1.0
        >>> before, history.directions([0.5])
        ([tensor([3.])], [tensor([2.])])
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = list(tensors)
        self._before: list[Tensor] = []
        self._moved: list[Tensor] = []

    def start(self) -> list[Tensor]:
        """The tensors as they are now; overwritten at the next start."""
        if not self._before:
            self._before = [torch.empty_like(tensor) for tensor in self.tensors]
        if self.tensors:
            torch._foreach_copy_(self._before, self.tensors)
        return self._before

    def directions(self, rates: Sequence[float]) -> list[Tensor]:
        """The d of each tensor, (x_t - x_{t+1}) / lr, momentum and weight decay included."""
        if not self.tensors:
            return []
        if not self._moved:
            self._moved = [torch.empty_like(tensor) for tensor in self.tensors]
        torch._foreach_copy_(self._moved, self._before)
        torch._foreach_sub_(self._moved, self.tensors)
        torch._foreach_div_(self._moved, [rate or 1.0 for rate in rates])  # lr 0: nothing moved
        return self._moved
