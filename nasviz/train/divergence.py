"""Whether a training that has ended was one: finite losses may be absurd, and a network may be dead.

A run has diverged where the median loss of its last steps is more than `FAR_ABOVE_GUESSING` times the loss of
a uniform guess, log(C) for C classes, and more than `FAR_ABOVE_START` times the loss of its first step, which
was made before any update. Both are needed: badly scaled weights may begin with a large loss and learn, and a
loss that doubles from a good start may still be a normal one. With a loss of the user's own, whose scale is
not known, the last losses must be `FAR_ABOVE_OWN_START` times the first.

A network is dead where its outputs are the same for all validation images: it has the accuracy of chance, and
nothing that it is shown can change that.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasviz.runs.tail import read_tail
from nasviz.train.objective import logits_of

if TYPE_CHECKING:
    from pathlib import Path

    from nasviz.train.session import Session

__all__ = ["FAR_ABOVE_GUESSING", "FAR_ABOVE_OWN_START", "FAR_ABOVE_START", "divergence", "why_diverged"]

FAR_ABOVE_GUESSING = 4.0
FAR_ABOVE_START = 2.0
FAR_ABOVE_OWN_START = 100.0
LAST_STEPS = 20
"""Their median counts, or that of the last quarter of a run of fewer than 80 steps."""
SAMPLE = 64
"""Validation images that are compared."""
EQUAL = 1e-6
"""Outputs that differ by less than this share of the largest one are the same."""


def divergence(losses: NDArray[np.floating[Any]], num_classes: int | None) -> str | None:
    """Return why these losses of a whole training are no learning; None where they may be.

    Args:
        losses: Of all steps, in order.
        num_classes: Classes, or symbols of a text; None for a loss of the user's own.

    Examples:
        >>> divergence(np.array([2.4, 9e3, 8e5, 9e5]), num_classes=10)
        'the training diverged: the loss rose from 2.4 to 9e+05, and guessing uniformly would give 2.3'
        >>> divergence(np.array([30.0, 9.0, 2.0, 1.0]), num_classes=10) is None
        True
    """
    known = losses[np.isfinite(losses)]
    if len(known) < 2:
        return None
    first, last = float(known[0]), float(np.median(known[-min(LAST_STEPS, max(1, len(known) // 4)) :]))
    rise = f"the training diverged: the loss rose from {first:.2g} to {last:.2g}"
    if num_classes is None:
        return rise if first > 0 and last > FAR_ABOVE_OWN_START * first else None
    guess = math.log(max(2, num_classes))
    if last > FAR_ABOVE_GUESSING * guess and last > FAR_ABOVE_START * first:
        return f"{rise}, and guessing uniformly would give {guess:.2g}"
    return None


def why_diverged(session: Session, folder: Path) -> str | None:
    """Return why the training on record in `folder` taught nothing; None where it may have."""
    is_own = session.loss is not None
    facts = session.split.facts
    words = divergence(read_tail(folder).steps.loss, None if is_own else facts.num_classes)
    if words is None and not is_own and facts.kind != "text" and _is_dead(session):
        words = "the network is dead: its outputs are the same for every validation image"
    if words is None:
        return None
    return f"{words}; lower lr={session.settings.method.lr:g} and start a new run"


@torch.no_grad()
def _is_dead(session: Session) -> bool:
    """Return whether different images have the same outputs."""
    images = session.split.validation
    batch, labels = images.batch(torch.arange(min(SAMPLE, len(images))))
    if not isinstance(batch, Tensor) or len(batch) < 2 or bool((batch == batch[:1]).all()):
        return False
    was_training = session.network.training
    session.network.eval()
    try:
        with session.optimizer.evaluating():
            logits = logits_of(session.network(batch.to(session.device)), labels.dim() + 1)[0].float()
    finally:
        session.network.train(was_training)
    spread = (logits.amax(dim=0) - logits.amin(dim=0)).max()
    return bool(spread <= EQUAL * logits.abs().max())
