"""Loss and accuracy on images that were not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from nasviz.train.batches import in_order
from nasviz.train.objective import Loss, judge, logits_of
from nasviz.train.windows import answer

if TYPE_CHECKING:
    from nasviz.data import Images

__all__ = ["Measured", "evaluate", "measure", "modes_of", "restore_modes"]

TOP = 5


class Measured(NamedTuple):
    """How a network does on images that it was not trained on."""

    loss: float
    """Mean over the images."""
    accuracy: float
    """Share of right answers, or the score of the user's own loss."""
    top5: float | None = None
    """Share of images whose class is among the five highest scores; None for at most five classes."""


def evaluate(
    network: nn.Module,
    images: Images,
    *,
    device: torch.device,
    batch_size: int = 256,
    num_workers: int = 0,
    loss: Loss | None = None,
    before_batch: Callable[[], None] = lambda: None,
) -> Measured:
    """Evaluate a network on images in their stored order; its mode is as before afterwards.

    Args:
        network: Lies on `device`.
        images: The images.
        device: Where it is computed.
        batch_size: As large as memory allows; it changes nothing but the time taken.
        num_workers: Processes that load images.
        loss: Of the user; None for cross-entropy.
        before_batch: Called before each batch; raises to stop.
    """
    batches = in_order(images, batch_size, num_workers)
    return measure(network, batches, device=device, loss=loss, before_batch=before_batch)


def modes_of(network: nn.Module) -> list[tuple[nn.Module, bool]]:
    """Return each module with its mode: normalization that is frozen stays in evaluation."""
    return [(module, module.training) for module in network.modules()]


def restore_modes(modes: Iterable[tuple[nn.Module, bool]]) -> None:
    """Set each module to the mode that `modes_of` returned."""
    for module, is_training in modes:
        module.training = is_training


@torch.no_grad()
def measure(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    device: torch.device,
    loss: Loss | None = None,
    before_batch: Callable[[], None] = lambda: None,
) -> Measured:
    """Evaluate a network on pairs of inputs and labels; its mode is as before afterwards.

    A loss of the user's may bring another score than the share of right answers.
    """
    modes = modes_of(network)
    network.eval()
    lost = torch.zeros((), dtype=torch.float32, device=device)
    right = torch.zeros((), dtype=torch.float32, device=device)
    among_top: Tensor | None = None
    places = 0  # one for each image, one for each symbol of a text
    try:
        for batch, labels in batches:
            before_batch()
            output, labels = answer(network, batch.to(device), labels.to(device))
            sums = judge(output, labels, loss)
            places += len(labels)
            lost += sums[0]
            right += sums[1]
            if loss is None and (scores := logits_of(output)[0]).shape[1] > TOP:
                found = (scores.topk(TOP, dim=1).indices == labels[:, None]).sum()
                among_top = found if among_top is None else among_top + found
    finally:
        restore_modes(modes)
    top5 = None if among_top is None else among_top.item() / places
    return Measured(lost.item() / places, right.item() / places, top5)
