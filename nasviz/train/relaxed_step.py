"""One step of a method that takes a batch of each half of the images."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from nasviz.nas import RelaxedOptimizer
from nasviz.nas.update_steps import Move
from nasviz.train.batches import Batch

__all__ = ["relaxed_step"]

Measure = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Loss and accuracy of the network, as it stands, on images and labels."""


class _BatchLoss:
    """The loss of one batch, as often as a method asks for it."""

    def __init__(self, measure: Measure, batch: Batch) -> None:
        self._measure, self._batch = measure, batch
        self.accuracy: Tensor | None = None
        """Share of right answers when it was last asked."""

    def __call__(self) -> Tensor:
        loss, self.accuracy = self._measure(*self._batch)
        return loss


def relaxed_step(
    optimizer: RelaxedOptimizer, measure: Measure, train: Batch, validation: Batch
) -> tuple[Tensor, Tensor]:
    """Loss and accuracy of the network's own weights on the batch that they learn from, before the step.

    Args:
        optimizer: Of a network in training mode.
        measure: Runs that network.
        train: Of the first half.
        validation: Of the second half.
    """
    losses = _BatchLoss(measure, train), _BatchLoss(measure, validation)
    own = losses[optimizer.reported == "u"]  # RARTS learns its own weights from the second half
    found: list[Tensor] = []

    def hear(move: Move) -> None:
        if move.variable == optimizer.reported and own.accuracy is not None:
            found.append(own.accuracy)

    loss = optimizer.step(*losses, hear)
    return loss, found[0]
