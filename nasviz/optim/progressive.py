"""Progressive projection: redundant groups go to zero in a straight line over a period of steps."""

from __future__ import annotations

from nasviz.errors import InvalidSettingError

__all__ = ["progressive_factor"]


def progressive_factor(step: int, num_steps: int) -> float:
    """Factor by which redundant groups shrink after `step` of a period of `num_steps`; exactly 0 at the last.

    Without a gradient the norm falls linearly: the first factors multiply to 1 - (step + 1) / num_steps.

    Raises:
        InvalidSettingError: `step` lies outside of the period.

    Examples:
        >>> [progressive_factor(step, 5) for step in range(5)]
        [0.8, 0.75, 0.6666666666666666, 0.5, 0.0]
    """
    if not 0 <= step < num_steps:
        raise InvalidSettingError(f"step {step} lies outside of a projection period of {num_steps} steps")
    return (num_steps - step - 1) / (num_steps - step)
