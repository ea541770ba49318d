"""Order of the training samples: a pure function of seed and epoch, so that a resumed run meets the same."""

from __future__ import annotations

from hashlib import sha256

import torch
from torch import Tensor

__all__ = ["epoch_order"]


def epoch_order(num: int, seed: int, epoch: int, part: str = "") -> Tensor:
    """A permutation of `0 ... num - 1`, the same for the same arguments on every machine.

    Torch's own generators are neither read nor advanced.

    Args:
        num: Length of the permutation.
        seed: Of the run.
        epoch: Counted from 0.
        part: Anything else that shall change the order, such as which part of the samples it is for.

    Examples:
        >>> sorted(epoch_order(4, seed=0, epoch=0).tolist())
        [0, 1, 2, 3]
    """
    # Hashed, so that (seed 0, epoch 1) and (seed 1, epoch 0) are as unlike as any two.
    digest = sha256(f"{seed}/{epoch}{part and f'/{part}'}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return torch.randperm(num, generator=generator)
