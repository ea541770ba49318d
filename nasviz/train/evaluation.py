"""Loss and metrics on examples that were not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from nasviz.catalog import ACCURACY
from nasviz.data import parts_of
from nasviz.train.batches import in_order, moved
from nasviz.train.metrics import ACCURACY_ALONE, Meter, Meters
from nasviz.train.objective import Loss, judge, logits_of
from nasviz.train.windows import answer

if TYPE_CHECKING:
    from nasviz.data import Images

__all__ = ["Measured", "evaluate", "measure", "modes_of", "restore_modes"]

TOP = 5


class Measured(NamedTuple):
    """How a network does on images that it was not trained on."""

    loss: float
    """Mean over the examples."""
    accuracy: float
    """First metric: by default the share of right answers, or the score of the user's own loss."""
    top5: float | None = None
    """Share of images whose class is among the five highest scores; None for at most five classes."""
    metrics: Mapping[str, float] | None = None
    """All metrics by name, plain data."""


def evaluate(
    network: nn.Module,
    images: Images,
    *,
    device: torch.device,
    batch_size: int = 256,
    num_workers: int = 0,
    loss: Loss | None = None,
    meters: Sequence[Meter] = ACCURACY_ALONE,
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
        meters: Metrics.
        before_batch: Called before each batch; raises to stop.
    """
    batches = in_order(images, batch_size, num_workers)
    return measure(network, batches, device=device, loss=loss, meters=meters, before_batch=before_batch)


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
    batches: Iterable[Any],
    *,
    device: torch.device,
    loss: Loss | None = None,
    meters: Sequence[Meter] = ACCURACY_ALONE,
    before_batch: Callable[[], None] = lambda: None,
) -> Measured:
    """Evaluate a network on batches, pairs of inputs and target; its mode is as before afterwards.

    A loss of the user's may bring another score than the share of right answers.
    """
    modes = modes_of(network)
    network.eval()
    lost = torch.zeros((), dtype=torch.float32, device=device)
    right = torch.zeros((), dtype=torch.float32, device=device)
    among_top: Tensor | None = None
    places: int | Tensor = 0  # one for each image, one for each symbol of a text or pixel of a map
    found = Meters(meters)
    is_scored = any(meter.metric == ACCURACY for meter in meters)
    try:
        for batch in batches:
            before_batch()
            inputs, labels = moved(parts_of(batch), device)
            output, labels = answer(network, inputs, labels)
            lost_here, right_here, count = judge(output, labels, loss, inputs, is_scored=is_scored)
            places = places + count
            lost += lost_here
            right += right_here
            found.update(output, labels)
            if loss is None and labels.dim() == 1 and (scores := logits_of(output)[0]).shape[1] > TOP:
                top = (scores.topk(TOP, dim=1).indices == labels[:, None]).sum()
                among_top = top if among_top is None else among_top + top
    finally:
        restore_modes(modes)
    num = int(places)
    top5 = None if among_top is None else among_top.item() / num
    values = found.compute(right.item() / num)
    return Measured(lost.item() / num, values[meters[0].metric.name], top5, values)
