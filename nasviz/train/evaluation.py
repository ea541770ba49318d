"""Loss and accuracy on images that were not trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn

from nasviz.train.batches import in_order
from nasviz.train.objective import Loss, judge
from nasviz.train.windows import answer

if TYPE_CHECKING:
    from nasviz.data import Images

__all__ = ["evaluate"]


@torch.no_grad()
def evaluate(
    network: nn.Module,
    images: Images,
    *,
    device: torch.device,
    batch_size: int = 256,
    num_workers: int = 0,
    loss: Loss | None = None,
    before_batch: Callable[[], None] = lambda: None,
) -> tuple[float, float]:
    """Mean loss and share of right answers in evaluation mode; the mode of `network` is as before afterwards.

    A loss of the user's may bring another score than the share of right answers.

    Args:
        network: Lies on `device`.
        images: Judged in their stored order.
        device: Where it is computed.
        batch_size: As large as memory allows; it changes nothing but the time taken.
        num_workers: Processes that load images.
        loss: Of the user; None for cross-entropy.
        before_batch: Called before each batch; raises to stop.
    """
    was_training = network.training
    network.eval()
    lost = torch.zeros((), dtype=torch.float32, device=device)
    right = torch.zeros((), dtype=torch.float32, device=device)
    places = 0  # one for each image, one for each symbol of a text
    try:
        for batch, labels in in_order(images, batch_size, num_workers):
            before_batch()
            output, labels = answer(network, batch.to(device), labels.to(device))
            sums = judge(output, labels, loss)
            places += len(labels)
            lost += sums[0]
            right += sums[1]
    finally:
        network.train(was_training)
    return lost.item() / places, right.item() / places
