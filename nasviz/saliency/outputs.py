"""Tensors in the output of a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

__all__ = ["cross_entropy", "tensors_in"]


def tensors_in(output: Any) -> Iterator[Tensor]:
    """Yield the tensors of an output in order, through tuples, lists and mappings.

    Examples:
        >>> import torch
        >>> [t.item() for t in tensors_in({"logits": (torch.tensor(1.0),), "aux": torch.tensor(2.0)})]
        [1.0, 2.0]
    """
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from tensors_in(value)
    elif isinstance(output, tuple | list):
        for value in output:
            yield from tensors_in(value)


def cross_entropy(output: Any, target: Any) -> Tensor:
    """Return the cross-entropy of the first tensor of an output."""
    return nn.functional.cross_entropy(next(tensors_in(output)), target)
