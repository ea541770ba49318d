"""H2SPG: hierarchical half-space projected gradient (ASGNAS, Algorithm 3), around an inner torch optimizer.

Warm-up: the inner optimizer trains everything, and saliency scores are averaged. At its end redundant
structures are selected once, in the hierarchy of the network. Projection: the inner optimizer makes a trial
step; redundant groups that leave their half-space become zero, the others shrink, until all of them are zero.
Training: the inner optimizer goes on with what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor
from torch.optim import Optimizer

from nasviz.errors import InvalidSettingError
from nasviz.optim.group_optimizer import GroupOptimizer
from nasviz.optim.groups import GroupScaler, TensorGroup, merge
from nasviz.optim.halfspace import has_left_halfspace
from nasviz.optim.progressive import progressive_factor
from nasviz.optim.selection import Select, Selection
from nasviz.optim.warm_up import WarmUpScores
from nasviz.saliency import Reductions, Saliency, StructureIndex

__all__ = ["H2SPG"]

PROJECTIONS = ("halfspace", "progressive", "both")

SETTINGS = ("warmup_steps", "projection_steps", "projection", "epsilon")
"""Settings that are saved with the state, and come back with it."""


class H2SPG(GroupOptimizer):
    """Hierarchical half-space projected gradient (ASGNAS, Algorithm 3).

    Until the warm-up ends, and when nothing is selected, the steps are bitwise those of `inner`.

    Args:
        inner: Optimizer of all parameters; its settings and schedules stay in force.
        groups: What each structure owns, whole tensors; saliency looks at these.
        select: Called once with the scores when the warm-up ends.
        warmup_steps: T_w, at least 1.
        projection_steps: T_p, at least 1: length of the period at whose end everything selected is zero.
        epsilon: Offset of the half-space in [0, 1); 0 zeroes latest, near 1 soonest.
        projection: `both` tests the half-space and shrinks; `progressive` only shrinks. `halfspace` is the
            literal Algorithm 3: groups are zeroed by the test alone, for as long as it takes, and nothing is
            forced, so that K need not be reached; `projection_steps` has no effect then.
        saliency: Name of a score in `nasviz.saliency.SALIENCIES`, or a function of `Reductions`.
        score_every: Score at every n-th step of the warm-up, the first included.
        score_momentum: Weight of the past in the running average of the scores, in [0, 1).
        generator: Where a random saliency draws from.

    Examples:
        >>> from torch.optim import SGD
        >>> weak, strong = torch.tensor([0.5, 0.5]), torch.tensor([2.0, 2.0])
        >>> groups = {1: TensorGroup((weak,)), 2: TensorGroup((strong,))}
        >>> def select(scores):
        ...     chosen = min(scores, key=scores.get)
        ...     return Selection((chosen,), members={chosen: groups[chosen]})
        >>> optimizer = H2SPG(SGD([weak, strong], lr=0.1), groups, select, warmup_steps=1, projection_steps=2)
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

    def __init__(
        self,
        inner: Optimizer,
        groups: Mapping[int, TensorGroup],
        select: Select,
        *,
        warmup_steps: int,
        projection_steps: int,
        epsilon: float = 0.0,
        projection: str = "both",
        saliency: str | Saliency | Callable[[Reductions], Tensor] = "taylor",
        score_every: int = 1,
        score_momentum: float = 0.9,
        generator: Generator | None = None,
    ) -> None:
        self.warmup_steps = _positive("warmup_steps", warmup_steps)
        self.projection_steps = _positive("projection_steps", projection_steps)
        self.epsilon = _below_one("epsilon", epsilon)
        if projection not in PROJECTIONS:
            raise InvalidSettingError(f"projection={projection!r}: choose one of {', '.join(PROJECTIONS)}")
        self.projection = projection
        self.zeroed_by: dict[int, str] = {}
        """For each structure that has been set to zero: `half-space` or `progressive`."""
        self._scores = WarmUpScores(
            groups,
            saliency,
            every=_positive("score_every", score_every),
            momentum=_below_one("score_momentum", score_momentum),
            generator=generator,
        )
        self._select = select
        self._selection: Selection | None = None
        super().__init__(inner, self._scores.index.tensors)
        self._prepare()

    @property
    def phase(self) -> str:
        """`warm-up`, `projection` as long as something selected is not zero yet, then `training`."""
        if self._selection is None:
            return "warm-up"
        return "projection" if self._redundant.ids else "training"

    @property
    def structure_ids(self) -> tuple[int, ...]:
        """The structures, in the order of `score_vector` and `norm_vector`."""
        return self._scores.index.ids

    @property
    def score_vector(self) -> Tensor | None:
        """Averaged scores on the device, in the order of `structure_ids`; `None` before the first step."""
        return self._scores.average

    @property
    def scores(self) -> dict[int, float]:
        """Averaged score of each structure; empty before the first step."""
        return self._scores.by_id()

    @property
    def selected(self) -> tuple[int, ...]:
        """The structures chosen as redundant; empty before the warm-up has ended."""
        return self._selection.selected if self._selection else ()

    @property
    def orphaned(self) -> tuple[int, ...]:
        """The structures that go with the selected ones because nothing feeds them any more."""
        return self._selection.orphaned if self._selection else ()

    @torch.no_grad()
    def norm_vector(self) -> Tensor:
        """||x_g|| of each structure as it is now, on the device, in the order of `structure_ids`."""
        return self._scores.index.norm(self._scores.index.tensors)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Hand further parameters to the inner optimizer; they belong to no structure.

        Raises:
            InvalidSettingError: The warm-up has ended.
        """
        if self._selection is not None:
            raise InvalidSettingError("add parameters before the warm-up ends; the selection has been made")
        super().add_param_group(param_group)

    def _update(self) -> None:
        phase = self.phase
        if phase == "warm-up":
            self._scores.around(self._inner_step, self.num_steps, self.param_groups)
        elif phase == "projection":
            self._project(self.num_steps - self.warmup_steps)
        else:
            self._inner_step()

    def _after_step(self) -> None:
        if self._selection is None and self.num_steps >= self.warmup_steps:
            selection = self._select(self._scores.final())
            if unknown := sorted(set(selection.selected).difference(self.structure_ids)):
                raise InvalidSettingError(f"select returned structures that were never scored: {unknown}")
            self._pack(selection.group)  # refuses tensors that could not be saved
            self._selection = selection
            self._prepare()

    def _project(self, step: int) -> None:
        """Trial step, half-space test, shrink (ASGNAS, Algorithm 3, lines 13-15)."""
        if self.projection == "progressive":
            self._inner_step()
        else:
            before = self._copy()
            self._inner_step()
            self._zero("half-space", self._crossing(before))
        if self.projection == "halfspace":
            return
        if step >= self.projection_steps - 1:
            self._zero("progressive", self._redundant.ids)
        else:
            self._remaining.scale_(progressive_factor(step, self.projection_steps))

    def _crossing(self, before: Sequence[Tensor]) -> tuple[int, ...]:
        """The redundant structures whose trial point has left the half-space of x_t."""
        index = self._redundant
        dot, square = index.dot(index.tensors, before), index.dot(before, before)
        crossing = has_left_halfspace(dot, square, self.epsilon).tolist()
        return tuple(i for i, has_crossed in zip(index.ids, crossing, strict=True) if has_crossed)

    def _zero(self, reason: str, ids: Sequence[int]) -> None:
        """Set structures to zero for good, and with the last of them what belongs to none alone."""
        if not ids or self._selection is None:
            return
        gone = [self._selection.members[i] for i in ids]
        if len(ids) == len(self._redundant.ids):
            gone.append(self._selection.remainder)
        self.zeroed_by |= dict.fromkeys(ids, reason)
        self._hold_at_zero(merge(gone))
        self._prepare()

    def _prepare(self) -> None:
        """Arrange what is redundant and not zero yet; again after each change of it."""
        selection = self._selection or Selection(())
        left = {i: group for i, group in selection.members.items() if i not in self.zeroed_by}
        self._redundant = StructureIndex({i: group.tensors for i, group in left.items()})
        self._remaining = GroupScaler(merge([*left.values(), selection.remainder] if left else []))
        self._before: list[Tensor] = []

    def _copy(self) -> list[Tensor]:
        """The redundant variables as they are now, in memory that is used again at each step."""
        tensors = self._redundant.tensors
        if len(self._before) != len(tensors):
            self._before = [torch.empty_like(tensor) for tensor in tensors]
        if tensors:
            torch._foreach_copy_(self._before, tensors)
        return self._before

    def _own_state(self) -> dict[str, Any]:
        chosen = self._selection
        return {
            "settings": {name: getattr(self, name) for name in SETTINGS},
            "scores": self._scores.state(),
            "zeroed_by": dict(self.zeroed_by),
            "selection": chosen
            and {
                "selected": list(chosen.selected),
                "orphaned": list(chosen.orphaned),
                "members": {i: self._pack(group) for i, group in chosen.members.items()},
                "remainder": self._pack(chosen.remainder),
            },
        }

    def _check_own_state(self, own: dict[str, Any]) -> None:
        self._scores.check(own["scores"])

    def _load_own_state(self, own: dict[str, Any]) -> None:
        """Settings come back with the state, as torch brings back the learning rate."""
        for name in SETTINGS:
            setattr(self, name, own["settings"][name])
        self._scores.load(own["scores"])
        self.zeroed_by = dict(own["zeroed_by"])
        chosen = own["selection"]
        self._selection = chosen and Selection(
            selected=tuple(chosen["selected"]),
            orphaned=tuple(chosen["orphaned"]),
            members={i: self._unpack(group) for i, group in chosen["members"].items()},
            remainder=self._unpack(chosen["remainder"]),
        )
        self._prepare()


def _positive(name: str, value: int) -> int:
    if not isinstance(value, int) or value < 1:
        raise InvalidSettingError(f"{name}={value!r}: must be a number of steps, at least 1")
    return value


def _below_one(name: str, value: float) -> float:
    if not 0 <= value < 1:
        raise InvalidSettingError(f"{name}={value!r}: must be at least 0 and below 1")
    return value
