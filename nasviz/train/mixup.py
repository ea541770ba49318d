"""MixUp (Zhang et al., mixup: Beyond Empirical Risk Minimization, 2018): training on mixed pairs of images.

What is mixed, and how, is a pure function of seed, epoch and batch: a resumed run meets the same mixtures.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

__all__ = ["Mixture", "mix"]


@dataclass(frozen=True, slots=True)
class Mixture:
    """A batch in which every image is mixed with another one of it."""

    images: Tensor
    """`(N, C, H, W)`: `share` of each image, the rest from its partner."""
    labels: Tensor
    """`(N,)`, of the images themselves."""
    partners: Tensor
    """`(N,)`, labels of their partners."""
    share: float
    """In [0, 1], the same for the whole batch."""


def mix(images: Tensor, labels: Tensor, *, alpha: float, seed: int, epoch: int, index: int) -> Mixture:
    """Mix a batch with itself in another order, at a share drawn from Beta(alpha, alpha).

    Neither torch's nor NumPy's global generator is read or advanced.

    Args:
        images: `(N, C, H, W)`, left as they are.
        labels: `(N,)`.
        alpha: Above 0; small values leave most images nearly alone, 1 makes all shares equally likely.
        seed: Of the run.
        epoch: Counted from 0.
        index: Of the batch in its epoch.

    Examples:
        >>> batch = torch.eye(2).reshape(2, 1, 1, 2)
        >>> one = mix(batch, torch.tensor([0, 1]), alpha=1.0, seed=0, epoch=0, index=3)
        >>> again = mix(batch, torch.tensor([0, 1]), alpha=1.0, seed=0, epoch=0, index=3)
        >>> bool((one.images == again.images).all()), one.share == again.share
        (True, True)
    """
    digest = sha256(f"mixup/{seed}/{epoch}/{index}".encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
    share = float(generator.beta(alpha, alpha))
    order = torch.from_numpy(generator.permutation(len(labels))).to(labels.device)
    mixed = share * images + (1 - share) * images[order]
    return Mixture(mixed, labels, labels[order], share)
