"""Methods with half-space steps, around an inner torch optimizer.

- `H2SPG` (ASGNAS, Algorithm 3): redundant groups that leave their half-space become zero, the others shrink,
  until all of them are zero.
- `H2SPGOTOv3` (OTOv3, Algorithm 3) as first printed: a redundant group takes the step
  x - lr (d + lambda_g x / ||x||) with its own lambda_g, and becomes zero when that trial point has left its
  half-space. `DHSPG` is the same without hierarchy. lambda_g is as large as needed for the group to shrink,
  but not so large that the loss rises, to first order.
- `HSPG` (OTO, Algorithm 2) has neither target nor hierarchy: first all groups take subgradient steps of
  f + lambda sum ||x_g||; later steps are followed by the half-space test, and what it zeroes stays zero. How
  many groups that is follows from lambda alone, up to a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from nasviz.errors import CheckpointError, InvalidSettingError
from nasviz.optim import waiting
from nasviz.optim.group_optimizer import ProjectingOptimizer, SelectingOptimizer
from nasviz.optim.groups import Select, TensorGroup
from nasviz.optim.halfspace import learning_rates, place_in_periods, progressive_factor
from nasviz.optim.search_optimizer import most_of, not_negative, positive_share, positive_steps
from nasviz.saliency import StructureIndex
from nasviz.settings import PUBLISHED_REGULARIZATION

__all__ = ["DHSPG", "H2SPG", "HSPG", "H2SPGOTOv3", "Regularization", "published_regularization", "shrink_"]


@dataclass(frozen=True, slots=True)
class Regularization:
    """How lambda_g is chosen."""

    least: float
    """lambda, for a group that the loss itself shrinks."""
    amplify: float
    """How many times the smallest value that shrinks a group is taken for one that the loss lets grow."""
    cap: float
    """How many times lambda the result may be at most."""

    def __post_init__(self) -> None:
        not_negative("regularization", self.least)
        not_negative("amplify", self.amplify)
        not_negative("cap", self.cap)

    def coefficients(self, dot: Tensor, norm: Tensor, direction_norm: Tensor) -> Tensor:
        """lambda_g of each group.

        Between -<x, d> / ||x|| and -||d||^2 ||x|| / <x, d> the step -(d + lambda x / ||x||) shortens x and
        still descends. The cap may lie below: then the group may grow, a known limit of small caps.

        Args:
            dot: <x_g, d_g>.
            norm: ||x_g||.
            direction_norm: ||d_g||.

        Examples:
            >>> dot, norm, direction_norm = (
            ...     torch.tensor([-1.0]),
            ...     torch.tensor([5.0]),
            ...     torch.tensor([1.25]).sqrt(),
            ... )
            >>> Regularization(1e-2, 20, 1e3).coefficients(dot, norm, direction_norm).item()
            4.0
        """
        safe_dot, safe_norm = torch.where(dot < 0, dot, -1.0), torch.where(norm > 0, norm, 1.0)
        lowest = -safe_dot / safe_norm
        highest = -direction_norm.square() * safe_norm / safe_dot
        chosen = (self.amplify * lowest).clamp(self.least, self.least * max(self.cap, 1.0))
        chosen = torch.where(chosen >= highest, (lowest + highest) / 2, chosen)
        return torch.where(dot < 0, chosen, self.least)


def published_regularization(
    inner: Optimizer, least: float | None = None, amplify: float | None = None, cap: float | None = None
) -> Regularization:
    """The published values for a base optimizer, where nothing else is given (public code of DHSPG).

    Examples:
        >>> published_regularization(torch.optim.SGD([torch.zeros(1)]))
        Regularization(least=0.001, amplify=2.0, cap=10.0)
        >>> published_regularization(torch.optim.Adam([torch.zeros(1)]), amplify=5.0)
        Regularization(least=0.01, amplify=5.0, cap=1000.0)
    """
    published = PUBLISHED_REGULARIZATION["sgd" if isinstance(inner, SGD) else "adam"]
    given = (least, amplify, cap)
    return Regularization(*(p if g is None else g for g, p in zip(given, published, strict=True)))


def shrink_(
    index: StructureIndex,
    before: Sequence[Tensor],
    norm: Tensor,
    coefficients: Tensor,
    rates: Sequence[float],
) -> None:
    """Add the regulariser's part to a step: x -= lr lambda_g x_t / ||x_t||, nothing where x_t is zero.

    Args:
        index: The structures; their tensors are changed.
        before: x_t, in the order of the index.
        norm: ||x_t|| of each structure.
        coefficients: lambda_g of each structure.
        rates: Learning rate of each tensor.
    """
    if not index.tensors:
        return
    pull = index.per_tensor(torch.where(norm > 0, coefficients / norm, 0.0))
    pull = pull * torch.tensor(rates, dtype=pull.dtype).to(pull.device, non_blocking=True)
    if waiting.reads_at_once(index.device):  # no launches to save, so neither is memory spent
        for tensor, value, factor in zip(index.tensors, before, pull.tolist(), strict=True):
            tensor.add_(value, alpha=-factor)
    else:
        torch._foreach_addcmul_(index.tensors, list(before), list(index.filled(pull)), value=-1.0)


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


class HSPG(ProjectingOptimizer):
    """Half-space stochastic projected gradient (OTO, Algorithm 2).

    Args:
        inner: Optimizer of all parameters; its settings and schedules stay in force.
        groups: What each structure owns and entails.
        check: Whether the network stays connected without these structures.
        warmup_steps: N_p, at least 1: steps before the half-space test begins.
        regularization: lambda, the same for all groups; 0 makes the first stage bitwise that of `inner`.
        epsilon: Offset of the half-space in [0, 1); 0 zeroes latest, near 1 soonest.
        max_zeros: Share of the groups that may become zero, above 0: then the rest trains on freely.

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
    _is_full = False
    """Whether as many groups are zero as may be, and the others are free."""

    def __init__(
        self,
        inner: Optimizer,
        groups: Mapping[int, TensorGroup],
        check: Callable[[tuple[int, ...]], bool],
        *,
        warmup_steps: int,
        regularization: float = 1e-3,
        epsilon: float = 0.0,
        max_zeros: float = 1.0,
    ) -> None:
        self.warmup_steps = positive_steps("warmup_steps", warmup_steps)
        self.regularization = not_negative("regularization", regularization)
        self._groups, self._check = dict(groups), check
        self._limit = most_of(positive_share("max_zeros", max_zeros), len(groups))
        index = StructureIndex({i: group.tensors for i, group in groups.items()})
        super().__init__(inner, index, epsilon=epsilon)
        rows = (row.tensor for group in groups.values() for row in group.rows)
        self._other_tensors = (*self._other_tensors, *rows)
        self._prepare()

    @property
    def phase(self) -> str:
        """`warm-up` for stage 1, `projection` for stage 2; `training` once no more groups may become zero."""
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
            is_limited = self._limit < len(self._groups)
            self._halfspace(before, self._limit - len(self._zeroed_by) if is_limited else None)
            # Elsewhere than on the CPU reading waits: at the same steps in every process and resumed run.
            if is_limited and waiting.looks_at(self.num_steps, self._index.device):
                self._settle()
                if len(self._zeroed_by) >= self._limit:
                    self._is_full = True
                    self._prepare()

    def _wanted(self) -> tuple[Mapping[int, TensorGroup], TensorGroup]:
        """Return all groups; only those that are zero once the rest is free."""
        groups = self._groups
        return {i: groups[i] for i in self._zeroed_by} if self._is_full else groups, TensorGroup()

    def _own_state(self) -> dict[str, Any]:
        return super()._own_state() | {"is_full": self._is_full}

    def _load_own_state(self, own: dict[str, Any]) -> None:
        self._is_full = own.get("is_full", False)  # not saved before there was a limit
        super()._load_own_state(own)
