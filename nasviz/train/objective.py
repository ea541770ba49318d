"""Losses, of the built-in names, of the network's own or of the user's, and accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils import _pytree as pytree

from nasviz.errors import DataError, InvalidSettingError
from nasviz.models.user_code import import_callable, takes
from nasviz.settings import CROSS_ENTROPY, NETWORK_LOSS

__all__ = [
    "AUXILIARY_WEIGHT",
    "IGNORED",
    "Loss",
    "classification_loss",
    "judge",
    "load_loss",
    "logits_of",
    "num_examples",
    "own_loss",
    "scores_of",
]

Loss = Callable[[Any, Any], Any]
"""Of the user: from the output of the network and the target to a scalar, or to a scalar and a score.

A function with an argument named `batch` gets the pair of inputs and target there, in place of the target.
The score stands where accuracy stands for others: averaged over a batch.
"""

AUXILIARY_WEIGHT = 0.3
"""Share of the loss of each further head (Szegedy et al., Going deeper with convolutions, section 5)."""
IGNORED = -100
"""Class that cross-entropy ignores in torch."""


def logits_of(output: Any, num_axes: int = 2) -> list[Tensor]:
    """Return all class scores among a network's outputs, those of the main head first.

    Args:
        output: Output of the network.
        num_axes: Number of axes of the scores: 2 for one class per example, 4 for maps of classes.

    Raises:
        DataError: No output has that many axes.
    """
    found = [x for x in pytree.tree_leaves(output) if isinstance(x, Tensor) and x.dim() == num_axes]
    if not found:
        shapes = [tuple(x.shape) for x in pytree.tree_leaves(output) if isinstance(x, Tensor)]
        wanted = "(N, classes)" if num_axes == 2 else f"(N, classes, ...) with {num_axes} axes"
        raise DataError(
            f"training needs class scores of shape {wanted}, but the network returns"
            f" {shapes or type(output).__name__}; wrap it so that it returns them first"
        )
    return [x for x in found if x.shape == found[0].shape]


def scores_of(output: Any, target: Tensor) -> Tensor:
    """Return the main output of a network: scores of classes `(N, classes, ...)`, or numbers.

    Raises:
        DataError: The network returns no tensor of numbers with an axis of examples.
    """
    found = [
        x
        for x in pytree.tree_leaves(output)
        if isinstance(x, Tensor) and x.is_floating_point() and x.dim() and len(x) == len(target)
    ]
    if not found:
        raise DataError("the network returns no tensor with as many rows as there are targets")
    return _classes_second(found[0], target)


def _classes_second(scores: Tensor, labels: Tensor) -> Tensor:
    """Return scores `(N, classes, ...)`; networks of sequences return `(N, length, classes)`.

    Raises:
        DataError: The classes may be on either axis.
    """
    if scores.dim() < 3 or scores.shape[:-1] != labels.shape:
        return scores
    if scores.shape[2:] == labels.shape[1:]:
        raise DataError(
            f"scores of shape {tuple(scores.shape)} for a target of shape {tuple(labels.shape)} may have"
            " their classes on the second axis or on the last one; give examples of another length, or a"
            " loss and a metric of your own"
        )
    return scores.movedim(-1, 1)


def _class_scores(output: Any, labels: Any) -> list[Tensor]:
    """Return the scores `(N, classes, ...)` of all heads, the main one first.

    Raises:
        DataError: There are none, or the target is not a tensor of classes.
    """
    if not isinstance(labels, Tensor):
        raise DataError(
            f"cross-entropy takes a tensor of classes as target, and got {type(labels).__name__}; choose"
            " another loss, or give your own"
        )
    return [_classes_second(x, labels) for x in logits_of(output, labels.dim() + 1)]


def classification_loss(
    output: Any,
    labels: Tensor,
    *,
    partners: Tensor | None = None,
    share: float = 1.0,
    smoothing: float = 0.0,
    auxiliary: float = AUXILIARY_WEIGHT,
    is_scored: bool = True,
) -> tuple[Tensor, Tensor]:
    """Return cross-entropy, with that of further heads, and the share of right answers, both scalars.

    Args:
        output: Of the network.
        labels: `(N,)`, or maps of classes `(N, ...)`.
        partners: `(N,)`, labels of what the images were mixed with; None where they were not.
        share: How much the labels count; their partners count the rest.
        smoothing: Share of every label that is spread over all classes.
        auxiliary: Weight of each further head.
        is_scored: Whether accuracy is measured; otherwise it is NaN.

    Examples:
        >>> loss, accuracy = classification_loss(torch.zeros(2, 4), torch.tensor([0, 3]))
        >>> round(loss.item(), 4), accuracy.item()
        (1.3863, 0.5)
    """
    main, *others = _class_scores(output, labels)

    def entropy(logits: Tensor) -> Tensor:
        loss = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        if partners is None:
            return loss
        other = functional.cross_entropy(logits, partners, label_smoothing=smoothing)
        return share * loss + (1 - share) * other

    loss = entropy(main)
    for logits in others:
        loss = loss + auxiliary * entropy(logits)
    if not is_scored:
        return loss, torch.full((), float("nan"), device=loss.device)
    with torch.no_grad():
        accuracy = _accuracy(main, labels)
        if partners is not None:
            accuracy = share * accuracy + (1 - share) * _accuracy(main, partners)
    return loss, accuracy


def _accuracy(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the share of right answers among the classes that are not ignored."""
    right = scores.argmax(dim=1) == labels
    if labels.dim() == 1:
        return right.float().mean()
    return right.sum() / (labels != IGNORED).sum().clamp(min=1)


def own_loss(
    loss: Loss,
    output: Any,
    labels: Any,
    inputs: Any = None,
    *,
    partners: Tensor | None = None,
    share: float = 1.0,
    is_scored: bool = True,
) -> tuple[Tensor, Tensor]:
    """Loss and score by the user's own function, both scalars; mixed like any other where images were mixed.

    Args:
        loss: The function.
        output: Of the network.
        labels: The target.
        inputs: What the network was given, for a function of the batch.
        partners: Labels of what the images were mixed with.
        share: How much the labels count.
        is_scored: Whether there must be a score; otherwise it is NaN where the function returns none.

    Raises:
        DataError: It returns no scalar, or gives no score where none can be found.
    """
    value, score = _own(loss, output, labels, inputs, is_scored)
    if partners is not None:
        other, its_score = _own(loss, output, partners, inputs, is_scored)
        value, score = share * value + (1 - share) * other, share * score + (1 - share) * its_score
    return value, score.detach()


def _own(loss: Loss, output: Any, labels: Any, inputs: Any, is_scored: bool) -> tuple[Tensor, Tensor]:
    found = loss(output, (inputs, labels) if _takes_batch(loss) else labels)
    value, *rest = found if isinstance(found, tuple) else (found,)
    if not isinstance(value, Tensor) or value.dim() != 0 or len(rest) > 1:
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise DataError(f"a loss must return a scalar, or a scalar and a score; yours returned {shape}")
    if rest and is_scored:
        return value, torch.as_tensor(rest[0], dtype=torch.float32, device=value.device)
    if not is_scored:
        return value, torch.full((), float("nan"), device=value.device)
    if not isinstance(labels, Tensor) or labels.dim() == 0 or labels.is_floating_point():
        kind = f"of shape {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise DataError(
            f"labels {kind} are no classes, so there is no accuracy; choose a metric, such as --metric mse,"
            " or return a pair from your loss: the loss, and a score to show in its place"
        )
    return value, _accuracy(_class_scores(output, labels)[0].detach(), labels)


_takes = lru_cache(maxsize=32)(takes)


def _takes_batch(loss: Loss) -> bool:
    try:
        return _takes(loss, "batch")
    except TypeError:  # it cannot be hashed
        return takes(loss, "batch")


def judge(
    output: Any, labels: Any, loss: Loss | None, inputs: Any = None, *, is_scored: bool = True
) -> tuple[Tensor, Tensor, int | Tensor]:
    """Return loss and right answers of a batch, both summed over it, and over how many they are summed.

    Of auxiliary heads only the main one counts.
    """
    if loss is not None:
        value, score = own_loss(loss, output, labels, inputs, is_scored=is_scored)
        count = num_examples(labels)
        return value * count, score * count, count
    logits = _class_scores(output, labels)[0]
    right = (logits.argmax(dim=1) == labels).sum()
    count = len(labels) if labels.dim() == 1 else (labels != IGNORED).sum()
    return functional.cross_entropy(logits, labels, reduction="sum"), right, count


def num_examples(part: Any) -> int:
    """Return the number of examples in inputs or a target: the length of the first tensor in it."""
    return next(
        (len(leaf) for leaf in pytree.tree_leaves(part) if isinstance(leaf, Tensor) and leaf.dim()), 1
    )


def _returned_loss(output: Any, labels: Any) -> Tensor:
    """Return the loss that a network has computed itself."""
    found = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    leaves = [found] if found is not None else pytree.tree_leaves(output)
    for leaf in leaves:
        if isinstance(leaf, Tensor) and leaf.dim() == 0 and leaf.is_floating_point():
            return leaf
    raise DataError(
        f"loss='{NETWORK_LOSS}' needs a network that returns its loss, a scalar; give it the labels as one of"
        " its inputs, or choose another loss"
    )


def _regression(function: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """Return a loss of numbers, whose output may have an axis of size 1 that the target lacks."""

    def loss(output: Any, target: Tensor) -> Tensor:
        found = scores_of(output, target)
        if found.numel() != target.numel():
            raise DataError(
                f"the network returns numbers of shape {tuple(found.shape)}, and the target has shape"
                f" {tuple(target.shape)}; both must have as many"
            )
        return function(found.reshape(target.shape), target.to(found.dtype))

    return loss


_NAMED: dict[str, Loss] = {
    NETWORK_LOSS: _returned_loss,
    "mse": _regression(functional.mse_loss),
    "mae": _regression(functional.l1_loss),
}


def load_loss(name: str, trust: Sequence[str]) -> Loss | None:
    """Return the loss of a name, or the user's function that it names; None for cross-entropy.

    Raises:
        InvalidSettingError: It is not there, fails to import, or is no function.
    """
    if name == CROSS_ENTROPY:
        return None
    if name in _NAMED:
        return _NAMED[name]
    with import_callable(name, trust) as target:
        # A class, such as a loss of torch, is made; a function or an object is taken as it is.
        made = target() if isinstance(target, type) else target
    if not callable(made):
        raise InvalidSettingError(
            f"loss={name!r} is {type(made).__name__}; name a function of output and labels, or of output"
            " and batch"
        )
    function: Loss = made
    return function
