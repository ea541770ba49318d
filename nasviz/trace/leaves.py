"""Leaf modules that replace function calls whose effect depends on the mode.

They own no tensors, so a traced network has the state dict of the user's network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torch.utils import _pytree as pytree

__all__ = ["BatchNormCall", "ModeCall", "OutputForm", "Position", "ScaledDotProductAttention"]


@dataclass(frozen=True, slots=True)
class Position:
    """Placeholder of a tensor in an output, by its index among all tensors."""

    index: int


class OutputForm(nn.Module):
    """Arrange the tensors that leave a network in the structure that the user's network returns.

    Args:
        train_form: Output in training mode, with a `Position` for every tensor.
        eval_form: Output in evaluation mode; it may leave tensors out (auxiliary heads).

    Examples:
        >>> import torch
        >>> form = OutputForm({"out": Position(0), "aux": Position(1)}, Position(0))
        >>> form(torch.ones(1), None)
        {'out': tensor([1.]), 'aux': None}
        >>> form.eval()(torch.ones(1), None)
        tensor([1.])
    """

    def __init__(self, train_form: Any, eval_form: Any) -> None:
        super().__init__()
        self.train_form = train_form
        self.eval_form = eval_form

    def forward(self, *tensors: Tensor | None) -> Any:
        """Return the user's output, with `None` for erased outputs."""
        form = self.train_form if self.training else self.eval_form
        return pytree.tree_map(lambda leaf: tensors[leaf.index] if isinstance(leaf, Position) else leaf, form)


def _number(name: str, value: float) -> float:
    """Return `value` if it is a number: it may come from a file, and ends up in generated source."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    return value


class ScaledDotProductAttention(nn.Module):
    """Attention that drops weights in training mode only."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = _number("p", p)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None = None,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """Return `torch.nn.functional.scaled_dot_product_attention` with the dropout of this mode."""
        p = self.p if self.training else 0.0
        return functional.scaled_dot_product_attention(
            query, key, value, mask, p, is_causal, scale=scale, enable_gqa=enable_gqa
        )

    def extra_repr(self) -> str:
        """Return the dropout rate."""
        return f"p={self.p}"


class ModeCall(nn.Module):
    """Call of an operator that receives the mode as a flag."""

    def __init__(self, operator: Callable[..., Any], flag: str) -> None:
        super().__init__()
        self.operator = operator
        self.flag = flag

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the operator's result in this mode."""
        return self.operator(*args, **{self.flag: self.training}, **kwargs)

    def extra_repr(self) -> str:
        """Return the operator."""
        return str(self.operator)


class BatchNormCall(nn.Module):
    """Batch normalization of tensors that are passed in, following the mode of the module."""

    def __init__(self, momentum: float, eps: float) -> None:
        super().__init__()
        self.momentum = _number("momentum", momentum)
        self.eps = _number("eps", eps)

    def forward(
        self,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running_mean: Tensor,
        running_var: Tensor,
        num_batches_tracked: Tensor | None = None,
    ) -> Tensor:
        """Normalize, and in training mode update the running statistics in place."""
        if self.training and num_batches_tracked is not None:
            num_batches_tracked.add_(1)
        return functional.batch_norm(
            x, running_mean, running_var, weight, bias, self.training, self.momentum, self.eps
        )

    def extra_repr(self) -> str:
        """Return the literals."""
        return f"momentum={self.momentum}, eps={self.eps}"
