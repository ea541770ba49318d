"""What all optimizers with a warm-up and a selection share (ASGNAS, Algorithm 3, lines 2-11).

Warm-up: the inner optimizer trains everything, and saliency scores are averaged. At its end redundant
structures are selected; how they come to zero is what the optimizers differ in. Once all of them are zero
the inner optimizer goes on with what is left.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from torch import Generator, Tensor
from torch.optim import Optimizer

from nasviz.errors import InvalidSettingError
from nasviz.optim.checks import below_one, positive_steps
from nasviz.optim.groups import TensorGroup
from nasviz.optim.projecting import ProjectingOptimizer
from nasviz.optim.search_optimizer import Share
from nasviz.optim.selection import Select, Selection
from nasviz.optim.warm_up import WarmUpScores
from nasviz.saliency import AnySaliency
from nasviz.settings.schedule import steps_between_scores

__all__ = ["SelectingOptimizer"]


class SelectingOptimizer(ProjectingOptimizer):
    """Until the warm-up ends, and when nothing is selected, the steps are bitwise those of `inner`.

    Args:
        inner: Optimizer of all parameters; its settings and schedules stay in force.
        groups: What each structure owns, whole tensors; saliency looks at these.
        select: Called with the scores when the warm-up ends.
        warmup_steps: T_w, at least 1.
        epsilon: Offset of the half-space in [0, 1); 0 zeroes latest, near 1 soonest.
        saliency: Name of a score in `nasviz.saliency.SALIENCIES`, a function of `Reductions`, or the scores
            themselves by structure, as `nasviz.saliency.score` returns them.
        score_every: Score at every n-th step of the warm-up, the first included. `None`: about 32 times in
            all, for a scored step costs more than a plain one, and the average forgets older samples.
        score_momentum: Weight of the past in the running average of the scores, in [0, 1).
        generator: Where a random saliency draws from.
    """

    is_hierarchical: ClassVar[bool] = True
    """Whether what is left must stay connected; `nasviz.optim.create` selects accordingly."""
    saved_settings: ClassVar[tuple[str, ...]] = ("warmup_steps", "epsilon")

    def __init__(
        self,
        inner: Optimizer,
        groups: Mapping[int, TensorGroup],
        select: Select,
        *,
        warmup_steps: int,
        epsilon: float = 0.0,
        saliency: AnySaliency = "snip",
        score_every: int | None = None,
        score_momentum: float = 0.9,
        generator: Generator | None = None,
    ) -> None:
        self.warmup_steps = positive_steps("warmup_steps", warmup_steps)
        self._scores = WarmUpScores(
            groups,
            saliency,
            every=positive_steps("score_every", steps_between_scores(score_every, warmup_steps)),
            momentum=below_one("score_momentum", score_momentum),
            generator=generator,
        )
        self._select = select
        self._selection: Selection | None = None
        super().__init__(inner, self._scores.index, epsilon=epsilon)

    @property
    def phase(self) -> str:
        """`warm-up`, `projection` as long as something redundant is not known to be zero, then `training`."""
        if self._selection is None:
            return "warm-up"
        return "projection" if self._is_projecting else "training"

    def vectors(self, phase: str) -> dict[str, Tensor]:
        """Return lengths, and during the warm-up the scores."""
        scores = self.score_vector
        is_scored = phase == "warm-up" and scores is not None
        return super().vectors(phase) | ({"scores": scores} if is_scored and scores is not None else {})

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

    @property
    def is_valid(self) -> bool | None:
        """Whether the network stays connected without what is selected; `None` before the selection."""
        return self._selection.is_valid if self._selection else None

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Hand further parameters to the inner optimizer; they belong to no structure.

        Raises:
            InvalidSettingError: The warm-up has ended.
        """
        if self._selection is not None:
            raise InvalidSettingError("add parameters before the warm-up ends; the selection has been made")
        super().add_param_group(param_group)

    def share_scores(self, average_: Share) -> None:
        """Average the scores over several processes before the selection.

        Gradients that DistributedDataParallel has averaged give all processes the same scores already, up to
        what devices of two kinds make of them; nothing but rounding may decide then.

        Args:
            average_: Averages tensors in place; called by all processes at the end of the warm-up.
        """
        self._scores.share = average_

    @property
    def _is_projecting(self) -> bool:
        return bool(self._redundant)

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
            self._choose(self._select)

    @abstractmethod
    def _project(self, step: int) -> None:
        """Take a step that brings the redundant structures closer to zero; `step` counts from the warm-up."""

    def _choose(self, select: Select) -> None:
        """Select by the scores as they are; what has been selected before stays first."""
        before = {structure: place for place, structure in enumerate(self.selected)}
        scores = self._scores.final()
        selection = select(scores | dict.fromkeys(before, float("-inf")) if before else scores)
        if unknown := sorted(set(selection.selected).difference(self.structure_ids)):
            raise InvalidSettingError(f"select returned structures that were never scored: {unknown}")
        self._pack(selection.group)  # refuses tensors that could not be saved
        order = sorted(selection.selected, key=lambda i: before.get(i, len(before)))
        self._selection = replace(selection, selected=tuple(order))
        self._prepare()
        self.num_selections += 1

    def _wanted(self) -> tuple[Mapping[int, TensorGroup], TensorGroup]:
        selection = self._selection or Selection(())
        return selection.members, selection.remainder

    def _own_state(self) -> dict[str, Any]:
        chosen = self._selection
        return super()._own_state() | {
            "scores": self._scores.state(),
            "selection": chosen
            and {
                "selected": list(chosen.selected),
                "orphaned": list(chosen.orphaned),
                "members": {i: self._pack(group) for i, group in chosen.members.items()},
                "remainder": self._pack(chosen.remainder),
                "is_valid": chosen.is_valid,
            },
        }

    def _check_own_state(self, own: dict[str, Any]) -> None:
        super()._check_own_state(own)
        self._scores.check(own["scores"])

    def _load_own_state(self, own: dict[str, Any]) -> None:
        self._scores.load(own["scores"])
        chosen = own["selection"]
        self._selection = chosen and Selection(
            selected=tuple(chosen["selected"]),
            orphaned=tuple(chosen["orphaned"]),
            members={i: self._unpack(group) for i, group in chosen["members"].items()},
            remainder=self._unpack(chosen["remainder"]),
            is_valid=chosen["is_valid"],
        )
        super()._load_own_state(own)
