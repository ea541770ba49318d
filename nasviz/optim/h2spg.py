"""H2SPG: hierarchical half-space projected gradient (ASGNAS, Algorithm 3), around an inner torch optimizer.

Projection: the inner optimizer makes a trial step; redundant groups that leave their half-space become zero,
the others shrink, until all of them are zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch.optim import Optimizer

from nasviz.errors import CheckpointError, InvalidSettingError
from nasviz.optim.checks import positive_steps
from nasviz.optim.groups import TensorGroup
from nasviz.optim.progressive import place_in_periods, progressive_factor
from nasviz.optim.selecting import SelectingOptimizer
from nasviz.optim.selection import Select

__all__ = ["H2SPG"]

PROJECTIONS = ("halfspace", "progressive", "both")


class H2SPG(SelectingOptimizer):
    """Hierarchical half-space projected gradient (ASGNAS, Algorithm 3).

    With several periods (HESSO) the structures go in as many portions. Each later period begins with a step
    that scores anew; over its other steps what has then been selected goes to zero.

    Args:
        inner: Optimizer of all parameters; its settings and schedules stay in force.
        groups: What each structure owns, whole tensors; saliency looks at these.
        select: Called with the scores when the warm-up ends. A sequence has one for each period; each must
            select again what the one before it selected.
        projection_steps: T_p, at least 1: length of the time at whose end everything selected is zero. The
            periods share it evenly, and the last takes the rest.
        projection: `both` tests the half-space and shrinks; `progressive` only shrinks. `halfspace` is the
            literal Algorithm 3: groups are zeroed by the test alone, for as long as it takes, and nothing is
            forced, so that K need not be reached; `projection_steps` has no effect then.
        **settings: Those of `SelectingOptimizer`.

    Examples:
        >>> import torch
        >>> from nasviz.optim import Selection
        >>> weak, strong = torch.tensor([0.5, 0.5]), torch.tensor([2.0, 2.0])
        >>> groups = {1: TensorGroup((weak,)), 2: TensorGroup((strong,))}
        >>> def select(scores):
        ...     chosen = min(scores, key=scores.get)
        ...     return Selection((chosen,), members={chosen: groups[chosen]})
        >>> sgd = torch.optim.SGD([weak, strong], lr=0.1)
        >>> optimizer = H2SPG(sgd, groups, select, warmup_steps=1, projection_steps=2)
        >>> for _ in range(3):
        ...     weak.grad, strong.grad = torch.full((2,), 0.1), torch.full((2,), 0.1)
        ...     optimizer.step()
        ...     print(optimizer.phase, weak.norm().item() > 0)
        projection True
        projection True
        training False
        >>> optimizer.selected, optimizer.zeroed_by, weak.tolist()
        ((1,), {1: 'progressive'}, [0.0, 0.0])
    """

    saved_settings = ("warmup_steps", "projection_steps", "projection", "epsilon")

    def __init__(
        self,
        inner: Optimizer,
        groups: Mapping[int, TensorGroup],
        select: Select | Sequence[Select],
        *,
        projection_steps: int,
        projection: str = "both",
        **settings: Any,
    ) -> None:
        self._selects: Sequence[Select] = (select,) if callable(select) else tuple(select)
        self.projection_steps = positive_steps("projection_steps", projection_steps)
        if projection not in PROJECTIONS:
            raise InvalidSettingError(f"projection={projection!r}: choose one of {', '.join(PROJECTIONS)}")
        self.projection = projection
        self._check_periods()
        super().__init__(inner, groups, self._selects[0], **settings)

    @property
    def periods(self) -> int:
        """In how many portions the structures go."""
        return len(self._selects)

    def _check_periods(self) -> None:
        if self.periods > 1 and self.projection == "halfspace":
            raise InvalidSettingError(
                f"periods={self.periods}: with projection='halfspace' nothing is forced to be zero at the end"
                " of a period; choose projection='both' or 'progressive', or periods=1"
            )
        if self.periods > 1 and self.projection_steps < 2 * self.periods:
            raise InvalidSettingError(
                f"periods={self.periods} need at least 2 steps each, and projection_steps is"
                f" {self.projection_steps}; choose at least {2 * self.periods}"
            )

    @property
    def _is_projecting(self) -> bool:
        if self.periods == 1:
            return super()._is_projecting
        # The last period has to make its selection, whether or not the one before is done early.
        last = self.projection_steps // self.periods * (self.periods - 1)
        return super()._is_projecting or self.num_steps - self.warmup_steps <= last

    def _project(self, step: int) -> None:
        """Trial step, half-space test, shrink (ASGNAS, Algorithm 3, lines 13-15)."""
        period, step, length = place_in_periods(step, self.projection_steps, self.periods)
        if period:
            if step == 0:
                self._scores.afresh(self._inner_step, self.param_groups, keep=self.zeroed_by)
                self._choose(self._selects[period])
                return
            step, length = step - 1, length - 1
        if self.projection == "progressive":
            self._inner_step()
        else:
            self._trial_step()
        if self.projection == "halfspace":
            return
        if step >= length - 1:
            self._zero_all("progressive")
        else:
            self._shrink(progressive_factor(step, length))

    def _own_state(self) -> dict[str, Any]:
        return super()._own_state() | {"periods": self.periods}

    def _check_own_state(self, own: dict[str, Any]) -> None:
        super()._check_own_state(own)
        if own["periods"] != self.periods:
            raise CheckpointError(
                f"this state was saved with periods={own['periods']}, this optimizer has {self.periods}"
            )
