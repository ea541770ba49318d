"""What all optimizers with a half-space step share: which groups are redundant, and which are zero."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from nasviz.errors import CheckpointError
from nasviz.optim.checks import below_one
from nasviz.optim.group_optimizer import GroupOptimizer
from nasviz.optim.groups import TensorGroup, merge
from nasviz.optim.redundant import RedundantGroups
from nasviz.optim.step_bound import StepBound
from nasviz.saliency import StructureIndex, gradient_cosine

__all__ = ["ProjectingOptimizer"]


class ProjectingOptimizer(GroupOptimizer):
    """Brings groups to zero with half-space steps (OTO, section 3.2), around an inner torch optimizer.

    Args:
        inner: Optimizer of all parameters; its settings and schedules stay in force.
        index: The structures with their own tensors.
        epsilon: Offset of the half-space in [0, 1).
    """

    saved_settings: ClassVar[tuple[str, ...]] = ("epsilon",)
    """Settings that are saved with the state, and come back with it."""

    def __init__(self, inner: Optimizer, index: StructureIndex, *, epsilon: float) -> None:
        self.epsilon = below_one("epsilon", epsilon)
        self._index = index
        self._zeroed_by: dict[int, str] = {}
        self._zeroed_at: dict[int, int] = {}
        self._redundant = RedundantGroups({})
        self._bound = StepBound(inner, self._redundant.index)
        super().__init__(inner, index.tensors)

    @property
    def structure_ids(self) -> tuple[int, ...]:
        """The structures, in the order of `norm_vector`."""
        return self._index.ids

    @property
    def zeroed_by(self) -> dict[int, str]:
        """What made each structure zero that is so for good; on a GPU, reading it waits for the last step."""
        self._settle()
        return dict(self._zeroed_by)

    @property
    def zeroed_at(self) -> dict[int, int]:
        """The step at which each structure of `zeroed_by` became zero, counted from 0; waits as that does."""
        self._settle()
        return dict(self._zeroed_at)

    @property
    def known_zero(self) -> frozenset[int]:
        """Those of `zeroed_by` that the host knows of already: it waits for nothing."""
        return frozenset(self._zeroed_by)

    @property
    def num_zero(self) -> Tensor:
        """How many structures are zero for good, on the device: for a record at every step."""
        return self._redundant.num_zero + len(self._zeroed_by)

    @torch.no_grad()
    def norm_vector(self) -> Tensor:
        """||x_g|| of each structure as it is now, on the device, in the order of `structure_ids`."""
        return self._index.norm(self._index.tensors)

    @torch.no_grad()
    def cosine_vector(self) -> Tensor:
        """cos(x_g, grad f_g) of each structure before a step, on the device, in that order."""
        return gradient_cosine(self._index)

    def vectors(self, phase: str) -> dict[str, Tensor]:
        """Return the lengths, as long as structures are decided on."""
        return {"norms": self.norm_vector()}

    def state_dict(self) -> dict[str, Any]:
        """Plain types and tensors only: the inner optimizer's state, and our own under the key `nasviz`."""
        self._settle()
        return super().state_dict()

    def _trial_step(self) -> None:
        """Step of the inner optimizer with the half-space test, which is left out where it cannot fail."""
        if self._bound.looks_back:
            self._inner_step()
            if not self._bound.was_short(self.epsilon):
                self._halfspace(self._bound.origins())
            return
        if self._bound.is_short(self.epsilon):
            self._inner_step()
            return
        before = self._redundant.history.start()
        self._inner_step()
        self._halfspace(before)

    def _shrink(self, factor: float) -> None:
        """Multiply what is redundant and not zero yet."""
        self._redundant.scale_(factor)
        self._bound.scaled(factor)

    def _halfspace(self, before: Sequence[Tensor]) -> None:
        """Zero the redundant groups whose trial point has left the half-space of x_t, `before`."""
        self._redundant.judge(before, self.epsilon, self.num_steps)
        if self._redundant.is_lazy:
            self._redundant.zero_()
        else:
            self._settle()

    def _settle(self) -> None:
        """Read which groups have left their half-space, and hold them at zero for good."""
        self._zero("half-space", self._redundant.read())

    def _zero_all(self, reason: str) -> None:
        """Hold everything that is redundant at zero, from this step on."""
        self._settle()
        self._zero(reason, dict.fromkeys(self._redundant.index.ids, self.num_steps))

    def _zero(self, reason: str, steps: Mapping[int, int]) -> None:
        """Set redundant structures to zero for good, and with the last of them what belongs to none alone.

        Args:
            reason: What made them zero.
            steps: The structures, each with the step at which it became zero.
        """
        if not steps:
            return
        members, remainder = self._wanted()
        gone = [members[i] for i in steps]
        if len(steps) == len(self._redundant.index.ids):
            gone.append(remainder)
        self._zeroed_by |= dict.fromkeys(steps, reason)
        self._zeroed_at |= steps
        self._hold_at_zero(merge(gone))
        self._prepare()

    def _prepare(self) -> None:
        """Arrange what is redundant and not zero yet; again after each change of it."""
        members, remainder = self._wanted()
        left = {i: group for i, group in members.items() if i not in self._zeroed_by}
        self._redundant = RedundantGroups(left, remainder if left else None)
        self._bound = StepBound(self.inner, self._redundant.index)

    @abstractmethod
    def _wanted(self) -> tuple[Mapping[int, TensorGroup], TensorGroup]:
        """For each redundant structure what goes to zero with it, and what goes with the last of them."""

    def _own_state(self) -> dict[str, Any]:
        return {
            "settings": {name: getattr(self, name) for name in self.saved_settings},
            "structures": list(self.structure_ids),
            "zeroed_by": dict(self._zeroed_by),
            "zeroed_at": dict(self._zeroed_at),
        }

    def _check_own_state(self, own: dict[str, Any]) -> None:
        if own["structures"] != list(self.structure_ids):
            raise CheckpointError(
                f"this state is of {len(own['structures'])} structures, this optimizer has"
                f" {len(self.structure_ids)} or others; generate the search space from the same network"
            )

    def _load_own_state(self, own: dict[str, Any]) -> None:
        """Settings come back with the state, as torch brings back the learning rate."""
        for name in self.saved_settings:
            setattr(self, name, own["settings"][name])
        self._zeroed_by = dict(own["zeroed_by"])
        self._zeroed_at = dict(own["zeroed_at"])
        self._prepare()
