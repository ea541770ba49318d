"""Loss and accuracy of a classifier, also of one with auxiliary heads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils import _pytree as pytree

from nasviz.errors import DataError

__all__ = ["AUXILIARY_WEIGHT", "classification_loss", "logits_of"]

AUXILIARY_WEIGHT = 0.3
"""Share of the loss of each further head (Szegedy et al., Going deeper with convolutions, section 5)."""


def logits_of(output: Any) -> list[Tensor]:
    """All class scores among a network's outputs, those of the main head first.

    Raises:
        DataError: No output has the shape (N, classes).
    """
    found = [x for x in pytree.tree_leaves(output) if isinstance(x, Tensor) and x.dim() == 2]
    if not found:
        shapes = [tuple(x.shape) for x in pytree.tree_leaves(output) if isinstance(x, Tensor)]
        raise DataError(
            f"training needs class scores of shape (N, classes), but the network returns"
            f" {shapes or type(output).__name__}; wrap it so that it returns them first"
        )
    return [x for x in found if x.shape == found[0].shape]


def classification_loss(
    output: Any,
    labels: Tensor,
    *,
    partners: Tensor | None = None,
    share: float = 1.0,
    smoothing: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy, with further heads at `AUXILIARY_WEIGHT`, and the share of right answers, both scalars.

    Args:
        output: Of the network.
        labels: `(N,)`.
        partners: `(N,)`, labels of what the images were mixed with; None where they were not.
        share: How much the labels count; their partners count the rest.
        smoothing: Share of every label that is spread over all classes.

    Examples:
        >>> loss, accuracy = classification_loss(torch.zeros(2, 4), torch.tensor([0, 3]))
        >>> round(loss.item(), 4), accuracy.item()
        (1.3863, 0.5)
    """
    main, *others = logits_of(output)

    def entropy(logits: Tensor) -> Tensor:
        loss = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        if partners is None:
            return loss
        other = functional.cross_entropy(logits, partners, label_smoothing=smoothing)
        return share * loss + (1 - share) * other

    loss = entropy(main)
    for logits in others:
        loss = loss + AUXILIARY_WEIGHT * entropy(logits)
    with torch.no_grad():
        answers = main.argmax(dim=1)
        accuracy = (answers == labels).float().mean()
        if partners is not None:
            accuracy = share * accuracy + (1 - share) * (answers == partners).float().mean()
    return loss, accuracy
