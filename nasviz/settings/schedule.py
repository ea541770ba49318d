"""Phases of a run in steps (ASGNAS, Algorithm 3): warm-up, projection, training of the remaining structures.

The lengths of the phases are not published. They are given as steps, or as a fraction of all steps.
"""

from __future__ import annotations

from dataclasses import dataclass

from nasviz.errors import InvalidSettingError

__all__ = ["Schedule", "plan_steps", "steps_between_scores"]

SAMPLES = 32
"""Scorings of a warm-up of at least so many steps where no interval is given, and up to twice as many."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Number of optimizer steps of a run, in total and per phase."""

    steps_per_epoch: int
    total_steps: int
    warmup_steps: int
    projection_steps: int


def plan_steps(
    *,
    num_train: int,
    batch_size: int,
    epochs: int,
    warmup_steps: int | float = 0.1,
    projection_steps: int | float = 0.2,
    steps: int = 0,
) -> Schedule:
    """Return the schedule of a run; the last incomplete batch of an epoch is dropped.

    Args:
        num_train: Number of training images.
        batch_size: Images per step.
        epochs: Number of epochs.
        warmup_steps: Length of the warm-up: an int in steps, or a float as a fraction of all steps.
        projection_steps: Length of the projection, in the same form.
        steps: Number of steps, which may end within an epoch; 0: as many as the epochs have.

    Raises:
        InvalidSettingError: Warm-up and projection take more steps than the run has.

    Examples:
        >>> plan_steps(num_train=1000, batch_size=64, epochs=4)
        Schedule(steps_per_epoch=15, total_steps=60, warmup_steps=6, projection_steps=12)
        >>> plan_steps(num_train=1000, batch_size=64, epochs=4, steps=50).total_steps
        50
    """
    steps_per_epoch = max(1, num_train // batch_size)
    total = steps or steps_per_epoch * epochs
    warmup, projection = _steps(warmup_steps, total), _steps(projection_steps, total)
    if warmup + projection > total:
        raise InvalidSettingError(
            f"warmup_steps={warmup} and projection_steps={projection} take {warmup + projection} steps, but"
            f" the run has only {total}, in epochs of {steps_per_epoch}; shorten them to at most {total} in"
            f" total, train for longer, or use a smaller batch_size than {batch_size}"
        )
    return Schedule(steps_per_epoch, total, warmup, projection)


def _steps(asked: int | float, total: int) -> int:
    """Convert a number or a fraction to steps; a nonzero fraction gives at least one step."""
    return max(1, round(total * asked)) if isinstance(asked, float) and asked else int(asked)


def steps_between_scores(score_every: int | None, warmup_steps: int) -> int:
    """Return `score_every`, or the interval that scores a warm-up about 32 times.

    Examples:
        >>> steps_between_scores(None, 1000), steps_between_scores(None, 10), steps_between_scores(3, 1000)
        (31, 1, 3)
    """
    return max(1, warmup_steps // SAMPLES) if score_every is None else score_every
