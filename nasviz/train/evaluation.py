"""Loss and accuracy on images that were not trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from nasviz.train.objective import logits_of

if TYPE_CHECKING:
    from nasviz.data import ImageSet

__all__ = ["evaluate"]


@torch.no_grad()
def evaluate(
    network: nn.Module,
    images: ImageSet,
    *,
    device: torch.device,
    batch_size: int = 256,
    before_batch: Callable[[], None] = lambda: None,
) -> tuple[float, float]:
    """Mean loss and share of right answers in evaluation mode; the mode of `network` is as before afterwards.

    Args:
        network: Lies on `device`.
        images: Judged in their stored order.
        device: Where it is computed.
        batch_size: As large as memory allows; it changes nothing but the time taken.
        before_batch: Called before each batch; raises to stop.
    """
    was_training = network.training
    network.eval()
    loss = torch.zeros((), dtype=torch.float32, device=device)
    right = torch.zeros((), dtype=torch.int64, device=device)
    try:
        for indices in torch.split(torch.arange(len(images)), batch_size):
            before_batch()
            batch, labels = images.batch(indices)
            labels = labels.to(device)
            logits = logits_of(network(batch.to(device)))[0]
            loss += functional.cross_entropy(logits, labels, reduction="sum")
            right += (logits.argmax(dim=1) == labels).sum()
    finally:
        network.train(was_training)
    return loss.item() / len(images), right.item() / len(images)
