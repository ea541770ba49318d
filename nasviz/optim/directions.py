"""What an optimizer did to each tensor: its learning rate, and its direction whatever rule it follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["directions", "learning_rates"]


def learning_rates(tensors: Sequence[Tensor], groups: Sequence[Mapping[str, Any]]) -> list[float]:
    """The rate of each tensor in an optimizer's parameter groups; 0 for one that it does not train."""
    rates = {id(parameter): float(group["lr"]) for group in groups for parameter in group["params"]}
    return [rates.get(id(tensor), 0.0) for tensor in tensors]


def directions(before: Sequence[Tensor], after: Sequence[Tensor], rates: Sequence[float]) -> list[Tensor]:
    """The d of each tensor, (x_t - x_{t+1}) / lr, momentum and weight decay included.

    Examples:
        >>> directions([torch.tensor([3.0])], [torch.tensor([2.0])], [0.5])
        [tensor([2.])]
    """
    if not before:
        return []
    moved = torch._foreach_sub(list(before), list(after))
    torch._foreach_div_(moved, [rate or 1.0 for rate in rates])  # lr 0: nothing moved
    return list(moved)
