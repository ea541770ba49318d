"""Scoring during a warm-up: a running average of saliency scores beside an optimizer's steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

import torch
from torch import Generator, Tensor

from nasviz.errors import CheckpointError, InvalidSettingError, NonFiniteLossError
from nasviz.optim.groups import TensorGroup
from nasviz.saliency import Reductions, Saliency, StructureIndex, find
from nasviz.saliency.reductions import gradients
from nasviz.saliency.scores import running_average

__all__ = ["WarmUpScores"]


class WarmUpScores:
    """Averaged scores of structures, sampled where a step begins (ASGNAS, Algorithm 3, line 5).

    Args:
        groups: What each structure owns; only whole tensors are scored.
        saliency: Name of a score, or a function of `Reductions`.
        every: Sample at every n-th step, the first included.
        momentum: Weight of the past in the average, in [0, 1).
        generator: Where a random saliency draws from.
    """

    def __init__(
        self,
        groups: Mapping[int, TensorGroup],
        saliency: str | Saliency | Callable[[Reductions], Tensor],
        *,
        every: int,
        momentum: float,
        generator: Generator | None,
    ) -> None:
        self.index = StructureIndex({i: group.tensors for i, group in groups.items()})
        self.saliency = find(saliency)
        if self.saliency.needs_generator and generator is None:
            raise InvalidSettingError(
                f"saliency {self.saliency.name!r} draws numbers: pass generator=torch.Generator()"
            )
        self.every, self.momentum, self.generator = every, momentum, generator
        self.average: Tensor | None = None
        """On the device, in the order of `index.ids`; `None` before the first sample."""

    def by_id(self) -> dict[int, float]:
        """The averaged score of each structure; empty before the first sample."""
        average = [] if self.average is None else self.average.tolist()
        return dict(zip(self.index.ids, average, strict=False))

    def final(self) -> dict[int, float]:
        """The scores for the selection.

        Raises:
            NonFiniteLossError: Some score is no finite number.
        """
        scores = self.by_id()
        if odd := [i for i, score in scores.items() if not isfinite(score)]:
            raise NonFiniteLossError(
                f"the scores of structures {odd[:10]} are not finite at the end of the warm-up: the loss or"
                " its gradient has diverged; lower the learning rate"
            )
        return scores

    def around(self, step: Callable[[], None], num_steps: int, groups: Sequence[Mapping[str, Any]]) -> None:
        """Take a step, and a sample of the scores at the point where it begins.

        Args:
            step: The step of the inner optimizer.
            num_steps: Steps taken so far.
            groups: The optimizer's parameter groups, for their learning rates.
        """
        if num_steps % self.every:
            step()
            return
        values = self.index.tensors
        grads = gradients(values) if self.saliency.needs_gradient else [None] * len(values)
        if self.saliency.needs_direction:
            before = [value.clone() for value in values]
            step()
            self._add(Reductions(self.index, before, grads, _directions(before, values, groups)))
        else:
            self._add(Reductions(self.index, values, grads, grads))
            step()

    def state(self) -> dict[str, Any]:
        """What a later process needs to go on; plain types and tensors."""
        return {
            "structures": list(self.index.ids),
            "saliency": self.saliency.name,
            "every": self.every,
            "momentum": self.momentum,
            "average": self.average,
            "generator": self.generator.get_state() if self.generator else None,
        }

    def check(self, state: Mapping[str, Any]) -> None:
        """Refuse a state of other structures or of another score."""
        if state["structures"] != list(self.index.ids):
            raise CheckpointError(
                f"this state scores {len(state['structures'])} structures, this optimizer"
                f" {len(self.index.ids)} or others; generate the search space from the same network"
            )
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

    def _add(self, sample: Reductions) -> None:
        score = self.saliency.score(sample, self.generator)
        self.average = running_average(self.average, score, self.momentum)


def _directions(
    before: list[Tensor], after: list[Tensor], groups: Sequence[Mapping[str, Any]]
) -> list[Tensor | None]:
    """The d of each tensor, (x_t - x_{t+1}) / lr, whatever rule the optimizer follows."""
    if not before:
        return []
    rates = {id(parameter): float(group["lr"]) for group in groups for parameter in group["params"]}
    moved = torch._foreach_sub(before, after)
    torch._foreach_div_(moved, [rates.get(id(tensor)) or 1.0 for tensor in after])  # lr 0: nothing moved
    return list(moved)
