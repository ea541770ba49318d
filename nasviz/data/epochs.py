"""Order of the training samples: a pure function of seed and epoch, so that resuming is exact."""

from __future__ import annotations

from hashlib import sha256

import torch
from torch import Tensor

__all__ = ["epoch_order"]


def epoch_order(num: int, seed: int, epoch: int, part: str = "") -> Tensor:
    """Return a permutation of `0 ... num - 1`, equal for equal arguments on every machine.

    Torch's global generators are neither used nor advanced.

    Args:
        num: Length of the permutation.
        seed: Seed of the run.
        epoch: 0-based epoch.
        part: Further key, such as the name of a subset of the samples.

    Examples:
        >>> sorted(epoch_order(4, seed=0, epoch=0).tolist())
        [0, 1, 2, 3]
    """
    # Hashed, so that (seed 0, epoch 1) and (seed 1, epoch 0) are unrelated.
    digest = sha256(f"{seed}/{epoch}{part and f'/{part}'}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return torch.randperm(num, generator=generator)
