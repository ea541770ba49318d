"""What a network answers, in whatever form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

__all__ = ["cross_entropy", "tensors_in"]


def tensors_in(output: Any) -> Iterator[Tensor]:
    """The tensors of an output, in their order, through tuples, lists and mappings.

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
    """Cross-entropy of the first tensor of an output."""
    return nn.functional.cross_entropy(next(tensors_in(output)), target)
