"""H2SPG as first printed (OTOv3, Algorithm 3): redundant groups are regularised until they are zero.

After the warm-up a redundant group takes the step x - lr (d + lambda_g x / ||x||), with a lambda_g of its
own, and becomes zero when that trial point has left its half-space. Once all of them are zero the inner
optimizer goes on with what is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer

from nasviz.optim.checks import positive_steps
from nasviz.optim.directions import learning_rates
from nasviz.optim.groups import TensorGroup
from nasviz.optim.regularization import Regularization, published_regularization, shrink_
from nasviz.optim.selecting import SelectingOptimizer
from nasviz.optim.selection import Select

__all__ = ["DHSPG", "H2SPGOTOv3"]


class H2SPGOTOv3(SelectingOptimizer):
    """Hierarchical half-space projected gradient (OTOv3, Algorithm 3): DHSPG's update with a hierarchy.

    Args:
        inner: Optimizer of all parameters; its settings and schedules stay in force.
        groups: What each structure owns, whole tensors; saliency looks at these.
        select: Called once with the scores when the warm-up ends.
        projection_steps: After so many steps what is redundant and not zero yet is set to zero. `None`, as
            printed: nothing is forced, and with small learning rates K may never be reached.
        regularization: lambda; published: 1e-3 over SGD, 1e-2 over Adam and AdamW.
        amplify: How much more than what just shrinks a growing group; published: 2 over SGD, 20 over Adam.
        cap: The largest lambda_g as a multiple of lambda; published: 10 over SGD, 1000 over Adam.
        **settings: Those of `SelectingOptimizer`.

    Examples:
        >>> import torch
        >>> from nasviz.optim import Selection
        >>> weak, strong = torch.tensor([0.3, 0.4]), torch.tensor([2.0, 2.0])
        >>> groups = {1: TensorGroup((weak,)), 2: TensorGroup((strong,))}
        >>> sgd = torch.optim.SGD([weak, strong], lr=0.1)
        >>> select = lambda scores: Selection((1,), members={1: groups[1]})
        >>> optimizer = H2SPGOTOv3(sgd, groups, select, warmup_steps=1, regularization=1.0)
        >>> for _ in range(7):
        ...     weak.grad, strong.grad = torch.zeros(2), torch.zeros(2)
        ...     optimizer.step()
        >>> optimizer.phase, optimizer.zeroed_by, weak.tolist(), strong.tolist()
        ('training', {1: 'half-space'}, [0.0, 0.0], [2.0, 2.0])
    """

    saved_settings = ("warmup_steps", "projection_steps", "epsilon", "regularization", "amplify", "cap")

    def __init__(
        self,
        inner: Optimizer,
        groups: Mapping[int, TensorGroup],
        select: Select,
        *,
        projection_steps: int | None = None,
        regularization: float | None = None,
        amplify: float | None = None,
        cap: float | None = None,
        **settings: Any,
    ) -> None:
        if projection_steps is not None:
            positive_steps("projection_steps", projection_steps)
        self.projection_steps = projection_steps
        rule = published_regularization(inner, regularization, amplify, cap)
        self.regularization, self.amplify, self.cap = rule.least, rule.amplify, rule.cap
        super().__init__(inner, groups, select, **settings)

    def _project(self, step: int) -> None:
        """Subgradient step of psi, then the half-space test (OTOv3, Algorithm 3, lines 11-16)."""
        before = self._redundant.history.start()
        self._inner_step()
        index = self._redundant.index
        rates = learning_rates(index.tensors, self.param_groups)
        moved = self._redundant.history.directions(rates)
        norm = index.norm(before)
        rule = Regularization(self.regularization, self.amplify, self.cap)
        coefficients = rule.coefficients(index.dot(before, moved), norm, index.norm(moved))
        shrink_(index, before, norm, coefficients, rates)
        self._halfspace(before)
        if self.projection_steps is not None and step >= self.projection_steps - 1:
            self._zero_all("end of projection")


class DHSPG(H2SPGOTOv3):
    """The steps of `H2SPGOTOv3` on the K structures of lowest score, connected or not.

    Nothing stops the training of an invalid selection; `is_valid` tells, and `nasviz.construct` refuses it.
    """

    is_hierarchical = False
