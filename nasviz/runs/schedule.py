"""Phases of a run in steps (ASGNAS, Algorithm 3: warm-up, projection, then training of what stays).

The lengths are unpublished. One rule everywhere: given as steps, or a share of all steps.
"""

from __future__ import annotations

from dataclasses import dataclass

from nasviz.errors import InvalidSettingError

__all__ = ["PROJECTION_SHARE", "SEARCH_SHARE", "WARMUP_SHARE", "Schedule", "plan_steps"]

WARMUP_SHARE = 0.10
PROJECTION_SHARE = 0.20
SEARCH_SHARE = 0.60
"""Of all steps, where the projection is the whole search and nothing warms up."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How many optimizer steps a run takes, in all and in its first two phases."""

    steps_per_epoch: int
    total_steps: int
    warmup_steps: int
    projection_steps: int


def plan_steps(
    *,
    num_train: int,
    batch_size: int,
    epochs: int,
    warmup_steps: int | None = None,
    projection_steps: int | None = None,
    projection_share: float = PROJECTION_SHARE,
) -> Schedule:
    """Lay a run out in steps; an epoch leaves out what does not fill a batch.

    Raises:
        InvalidSettingError: Warm-up and projection do not fit into the run.

    Examples:
        >>> plan_steps(num_train=1000, batch_size=64, epochs=4)
        Schedule(steps_per_epoch=15, total_steps=60, warmup_steps=6, projection_steps=12)
    """
    steps_per_epoch = max(1, num_train // batch_size)
    total = steps_per_epoch * epochs
    warmup = max(1, round(total * WARMUP_SHARE)) if warmup_steps is None else warmup_steps
    projection = max(1, round(total * projection_share)) if projection_steps is None else projection_steps
    if warmup + projection > total:
        raise InvalidSettingError(
            f"warmup_steps={warmup} and projection_steps={projection} ask for {warmup + projection} steps,"
            f" but {epochs} epochs of {steps_per_epoch} steps make {total}; choose at most {total} in all,"
            f" more epochs, or a smaller batch_size than {batch_size}"
        )
    return Schedule(steps_per_epoch, total, warmup, projection)
