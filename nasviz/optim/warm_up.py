"""Scoring during a warm-up: a running average of saliency scores beside an optimizer's steps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import isfinite
from typing import Any

import torch
from torch import Generator, Tensor

from nasviz.errors import CheckpointError, InvalidSettingError, NonFiniteLossError
from nasviz.optim.directions import ParameterHistory, learning_rates
from nasviz.optim.groups import TensorGroup
from nasviz.optim.search_optimizer import Share
from nasviz.saliency import AnySaliency, Reductions, StructureIndex, find_for_steps
from nasviz.saliency.reductions import gradients
from nasviz.saliency.scores import running_average

__all__ = ["WarmUpScores"]


class WarmUpScores:
    """Averaged scores of structures, sampled where a step begins (ASGNAS, Algorithm 3, line 5).

    Args:
        groups: What each structure owns, of which only whole tensors are scored; or an index of its own.
        saliency: Name of a score, a function of `Reductions`, or the scores themselves.
        every: Sample at every n-th step, the first included.
        momentum: Weight of the past in the average, in [0, 1).
        generator: Where a random saliency draws from.
    """

    def __init__(
        self,
        groups: Mapping[int, TensorGroup] | StructureIndex,
        saliency: AnySaliency,
        *,
        every: int,
        momentum: float,
        generator: Generator | None,
    ) -> None:
        self.index = (
            groups
            if isinstance(groups, StructureIndex)
            else StructureIndex({i: group.tensors for i, group in groups.items()})
        )
        self.saliency = find_for_steps(saliency)
        if self.saliency.needs_generator and generator is None:
            raise InvalidSettingError(
                f"saliency {self.saliency.name!r} draws numbers: pass generator=torch.Generator()"
            )
        self.every, self.momentum, self.generator = every, momentum, generator
        self.average: Tensor | None = None
        """On the device, in the order of `index.ids`; `None` before the first sample."""
        self._history: ParameterHistory | None = None
        self.share: Share = lambda tensors: None
        """Averages tensors in place over the processes that train together; nothing where there is one."""

    def by_id(self) -> dict[int, float]:
        """The averaged score of each structure; empty before the first sample."""
        average = [] if self.average is None else self.average.tolist()
        return dict(zip(self.index.ids, average, strict=False))

    def final(self) -> dict[int, float]:
        """The scores for the selection, averaged over the processes: all of them select the same.

        Raises:
            NonFiniteLossError: Some score is no finite number.
        """
        self._history = None  # its memory is not needed any more
        if self.average is not None:
            self.share([self.average])
        scores = self.by_id()
        if odd := [i for i, score in scores.items() if not isfinite(score)]:
            raise NonFiniteLossError(
                f"the scores of structures {odd[:10]} are not finite at the end of the warm-up: the loss or"
                " its gradient has diverged; lower the learning rate"
            )
        return scores

    def around(self, step: Callable[[], None], num_steps: int, groups: Sequence[Mapping[str, Any]]) -> None:
        """Take a step, and every n-th time a sample of the scores at the point where it begins.

        Args:
            step: The step of the inner optimizer.
            num_steps: Steps taken so far.
            groups: The optimizer's parameter groups, for their learning rates.
        """
        if num_steps % self.every:
            step()
            return
        self.average = running_average(self.average, self._sample(step, groups), self.momentum)

    def afresh(
        self, step: Callable[[], None], groups: Sequence[Mapping[str, Any]], keep: Collection[int]
    ) -> None:
        """Take a step, and score anew where it begins; the structures of `keep` keep the score they have."""
        sample = self._sample(step, groups)
        if self.average is not None:
            is_kept = torch.tensor([i in keep for i in self.index.ids], device=sample.device)
            sample = torch.where(is_kept, self.average, sample)
        self.average = sample

    def state(self) -> dict[str, Any]:
        """What a later process needs to go on; plain types and tensors."""
        return {
            "saliency": self.saliency.name,
            "every": self.every,
            "momentum": self.momentum,
            "average": self.average,
            "generator": self.generator.get_state() if self.generator else None,
        }

    def check(self, state: Mapping[str, Any]) -> None:
        """Refuse a state of another score."""
        if state["saliency"] != self.saliency.name:
            raise CheckpointError(
                f"this state was saved with saliency {state['saliency']!r}, not {self.saliency.name!r}"
            )

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned."""
        self.every, self.momentum = state["every"], state["momentum"]
        average = state["average"]
        self.average = None if average is None else average.to(self.index.device, copy=True)
        if self.generator is not None and state["generator"] is not None:
            self.generator.set_state(state["generator"].cpu())

    def _sample(self, step: Callable[[], None], groups: Sequence[Mapping[str, Any]]) -> Tensor:
        values = self.index.tensors
        grads = gradients(values) if self.saliency.needs_gradient else [None] * len(values)
        if not self.saliency.needs_direction:
            score = self.saliency.score(Reductions(self.index, values, grads, grads), self.generator)
            step()
            return score
        self._history = self._history or ParameterHistory(values)
        before = self._history.start()
        step()
        moved = self._history.directions(learning_rates(values, groups))
        return self.saliency.score(Reductions(self.index, before, grads, moved), self.generator)
