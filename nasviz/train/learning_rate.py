"""Course of the learning rate over a run (ASGNAS, 2023, appendix A.2: one cosine, or several in a row)."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LambdaLR,
    LRScheduler,
)

__all__ = ["make_scheduler"]


def make_scheduler(optimizer: Optimizer, *, course: str, periods: int, total_steps: int) -> LRScheduler:
    """A scheduler that is stepped once after every step of `optimizer`.

    Args:
        optimizer: Starts at its present learning rate, or rates.
        course: "cosine" falls to 0 along half a cosine; "constant" stays.
        periods: How many times the cosine begins anew; each takes the same number of steps, rounded up.
        total_steps: Of the run.
    """
    if course == "constant":
        return LambdaLR(optimizer, lambda step: 1.0)
    if periods == 1:
        return CosineAnnealingLR(optimizer, T_max=total_steps)
    return CosineAnnealingWarmRestarts(optimizer, T_0=-(-total_steps // periods))
