"""Loss and accuracy of a classifier, also of one with auxiliary heads, or by a loss of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils import _pytree as pytree

from nasviz.errors import DataError, InvalidSettingError
from nasviz.models.user_code import import_callable
from nasviz.settings import CROSS_ENTROPY

__all__ = ["AUXILIARY_WEIGHT", "Loss", "classification_loss", "judge", "load_loss", "logits_of", "own_loss"]

Loss = Callable[[Any, Tensor], Any]
"""A user's own: from what the network returns and the labels to a scalar, or to a scalar and a score.

The score stands where accuracy stands for others: larger is better, averaged over a batch.
"""

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
    auxiliary: float = AUXILIARY_WEIGHT,
) -> tuple[Tensor, Tensor]:
    """Return cross-entropy, with that of further heads, and the share of right answers, both scalars.

    Args:
        output: Of the network.
        labels: `(N,)`.
        partners: `(N,)`, labels of what the images were mixed with; None where they were not.
        share: How much the labels count; their partners count the rest.
        smoothing: Share of every label that is spread over all classes.
        auxiliary: Weight of each further head.

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
        loss = loss + auxiliary * entropy(logits)
    with torch.no_grad():
        answers = main.argmax(dim=1)
        accuracy = (answers == labels).float().mean()
        if partners is not None:
            accuracy = share * accuracy + (1 - share) * (answers == partners).float().mean()
    return loss, accuracy


def own_loss(
    loss: Loss, output: Any, labels: Tensor, *, partners: Tensor | None = None, share: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Loss and score by the user's own function, both scalars; mixed like any other where images were mixed.

    Raises:
        DataError: It returns no scalar, or gives no score where none can be found.
    """
    value, score = _own(loss, output, labels)
    if partners is not None:
        other, its_score = _own(loss, output, partners)
        value, score = share * value + (1 - share) * other, share * score + (1 - share) * its_score
    return value, score.detach()


def _own(loss: Loss, output: Any, labels: Tensor) -> tuple[Tensor, Tensor]:
    found = loss(output, labels)
    value, *rest = found if isinstance(found, tuple) else (found,)
    if not isinstance(value, Tensor) or value.dim() != 0 or len(rest) > 1:
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise DataError(f"a loss must return a scalar, or a scalar and a score; yours returned {shape}")
    if rest:
        return value, torch.as_tensor(rest[0], dtype=torch.float32, device=value.device)
    if labels.dim() != 1 or labels.is_floating_point():
        raise DataError(
            f"labels of shape {tuple(labels.shape)} are no classes, so there is no accuracy; return a pair"
            " from your loss: the loss, and a score to show in its place"
        )
    return value, (logits_of(output)[0].argmax(dim=1) == labels).float().mean()


def judge(output: Any, labels: Tensor, loss: Loss | None) -> tuple[Tensor, Tensor]:
    """Loss and right answers of a batch, both summed over it; of auxiliary heads only the main one counts."""
    if loss is not None:
        value, score = own_loss(loss, output, labels)
        return value * len(labels), score * len(labels)
    logits = logits_of(output)[0]
    return functional.cross_entropy(logits, labels, reduction="sum"), (logits.argmax(dim=1) == labels).sum()


def load_loss(name: str, trust: Sequence[str]) -> Loss | None:
    """Return the user's function that `package.module:callable` names, or None for cross-entropy.

    Raises:
        InvalidSettingError: It is not there, fails to import, or is no function.
    """
    if name == CROSS_ENTROPY:
        return None
    with import_callable(name, trust) as target:
        # A class, such as a loss of torch, is made; a function or an object is taken as it is.
        made = target() if isinstance(target, type) else target
    if not callable(made):
        raise InvalidSettingError(
            f"loss={name!r} is {type(made).__name__}; name a function of output and labels"
        )
    function: Loss = made
    return function
