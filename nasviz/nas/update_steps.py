"""What an alternating method does, as steps that it yields: along which gradient which variable goes.

The one implementation serves training and lessons. A method yields an `UpdateStep` and goes on when the next
one is asked for. In between, its caller moves the variable in place: by plain descent in a lesson, by SGD
with momentum and Adam in a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Loss", "Step", "Tensors", "TrialPoint", "UpdateStep", "descend", "gradient"]

Tensors = Sequence[Tensor]
Loss = Callable[[Tensors, Tensors], Tensor]
"""A scalar of weights and architecture parameters, both lists of tensors, that can be differentiated."""


@dataclass(frozen=True, slots=True, eq=False)
class TrialPoint:
    """A point that a method evaluates without going there."""

    symbol: str
    """As the papers write it, such as "w'"."""
    weights: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False)
class UpdateStep:
    """A variable is to go against this gradient, now."""

    variable: str
    """"w", "u" or "alpha"."""
    gradient: tuple[Tensor, ...]
    """Of each tensor of the variable, in its order."""
    loss: Tensor
    """The loss it is the gradient of, without penalties; a scalar without history."""


Step = TrialPoint | UpdateStep


def gradient(loss: Tensor, variables: Tensors) -> tuple[Tensor, ...]:
    """Gradient of a scalar; zeros for a variable that it does not depend on.

    Examples:
        >>> x, y = torch.tensor(3.0, requires_grad=True), torch.tensor(1.0, requires_grad=True)
        >>> gradient(x * x, [x, y])
        (tensor(6.), tensor(0.))
    """
    if not loss.requires_grad:
        return tuple(torch.zeros_like(variable) for variable in variables)
    return torch.autograd.grad(loss, list(variables), allow_unused=True, materialize_grads=True)


def descend(
    steps: Iterator[Step], variables: Mapping[str, Tensors], rates: Mapping[str, float]
) -> Iterator[Step]:
    """Drive a method by plain gradient descent, and hand its steps on once they are made.

    Args:
        steps: What the method yields.
        variables: Tensors of each variable; changed in place.
        rates: Learning rate of each variable.
    """
    for step in steps:
        if isinstance(step, UpdateStep):
            with torch.no_grad():
                torch._foreach_add_(
                    list(variables[step.variable]), list(step.gradient), alpha=-rates[step.variable]
                )
        yield step
