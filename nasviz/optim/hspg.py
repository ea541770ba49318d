"""HSPG: half-space stochastic projected gradient (OTO, Algorithm 2), without target and hierarchy.

First all groups take subgradient steps of f + lambda sum ||x_g||; later steps are followed by the half-space
test, and what it zeroes stays zero. How many groups that is follows from lambda alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.optim import Optimizer

from nasviz.optim.checks import not_negative, positive_steps
from nasviz.optim.directions import learning_rates
from nasviz.optim.groups import TensorGroup
from nasviz.optim.projecting import ProjectingOptimizer
from nasviz.optim.regularization import shrink_
from nasviz.saliency import StructureIndex

__all__ = ["HSPG"]


class HSPG(ProjectingOptimizer):
    """Half-space stochastic projected gradient (OTO, Algorithm 2).

    Args:
        inner: Optimizer of all parameters; its settings and schedules stay in force.
        groups: What each structure owns and entails.
        check: Whether the network stays connected without these structures.
        warmup_steps: N_p, at least 1: steps before the half-space test begins.
        regularization: lambda, the same for all groups; 0 makes the first stage bitwise that of `inner`.
        epsilon: Offset of the half-space in [0, 1); 0 zeroes latest, near 1 soonest.

    Examples:
        >>> weak, strong = torch.tensor([0.3, 0.4]), torch.tensor([2.0, 2.0])
        >>> groups = {1: TensorGroup((weak,)), 2: TensorGroup((strong,))}
        >>> sgd = torch.optim.SGD([weak, strong], lr=0.1)
        >>> optimizer = HSPG(sgd, groups, lambda erased: True, warmup_steps=2, regularization=1.0)
        >>> for _ in range(8):
        ...     weak.grad, strong.grad = torch.zeros(2), torch.zeros(2)
        ...     optimizer.step()
        >>> optimizer.selected, weak.tolist(), round(strong.norm().item(), 3)
        ((1,), [0.0, 0.0], 2.028)
    """

    saved_settings = ("warmup_steps", "epsilon", "regularization")

    def __init__(
        self,
        inner: Optimizer,
        groups: Mapping[int, TensorGroup],
        check: Callable[[tuple[int, ...]], bool],
        *,
        warmup_steps: int,
        regularization: float = 1e-3,
        epsilon: float = 0.0,
    ) -> None:
        self.warmup_steps = positive_steps("warmup_steps", warmup_steps)
        self.regularization = not_negative("regularization", regularization)
        self._groups, self._check = dict(groups), check
        index = StructureIndex({i: group.tensors for i, group in groups.items()})
        super().__init__(inner, index, epsilon=epsilon)
        rows = (row.tensor for group in groups.values() for row in group.rows)
        self._other_tensors = (*self._other_tensors, *rows)
        self._prepare()

    @property
    def phase(self) -> str:
        """`warm-up` for stage 1, `projection` for stage 2; `training` once every group is zero."""
        if self.num_steps < self.warmup_steps:
            return "warm-up"
        return "projection" if self._redundant else "training"

    @property
    def selected(self) -> tuple[int, ...]:
        """The structures that have become zero, in that order."""
        return tuple(self.zeroed_by)

    @property
    def is_valid(self) -> bool:
        """Whether the network stays connected without the structures that are zero."""
        return self._check(self.selected)

    def _update(self) -> None:
        """Subgradient step on all groups, and in stage 2 the half-space test."""
        is_testing = self.num_steps >= self.warmup_steps
        if not self._redundant or not (is_testing or self.regularization):
            self._inner_step()
            return
        before = self._redundant.history.start()
        self._inner_step()
        if self.regularization:
            index = self._redundant.index
            norm = index.norm(before)
            rates = learning_rates(index.tensors, self.param_groups)
            shrink_(index, before, norm, torch.full_like(norm, self.regularization), rates)
        if is_testing:
            self._halfspace(before)

    def _wanted(self) -> tuple[Mapping[int, TensorGroup], TensorGroup]:
        return self._groups, TensorGroup()
