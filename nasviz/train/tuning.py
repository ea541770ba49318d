"""A step of what a width search has left: both batches, distilled from the network before pruning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nasviz.nas import WidthSearch
from nasviz.nas.distillation import distillation_loss
from nasviz.train.batches import Batch
from nasviz.train.objective import logits_of

__all__ = ["Judge", "tuning_step"]

Judge = Callable[[Any], tuple[Tensor, Tensor]]
"""Loss and accuracy of an output."""
Prepare = Callable[[Tensor, Tensor], tuple[Tensor, Judge]]
"""What the network sees of images and labels, and how its output is judged."""


def tuning_step(
    optimizer: WidthSearch, network: nn.Module, prepare: Prepare, batches: tuple[Batch, ...]
) -> tuple[Tensor, Tensor]:
    """Loss, with the distillation, and accuracy on all batches together, before the step.

    Args:
        optimizer: Its search has ended.
        network: In training mode; it is in training mode again afterwards.
        prepare: Mixes images where that is asked for.
        batches: One of each half of the images.
    """
    images, judge = prepare(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
    optimizer.prune()
    output = network(images)
    loss, accuracy = judge(output)
    if optimizer.distillation:
        network.eval()
        with torch.no_grad(), optimizer.teacher():
            wanted = logits_of(network(images))[0]
        network.train()
        loss = loss + optimizer.distillation * distillation_loss(wanted, logits_of(output)[0])
    optimizer.tune(loss)
    return loss, accuracy
