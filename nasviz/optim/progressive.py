"""Progressive projection: redundant groups go to zero in a straight line over a period of steps (HESSO)."""

from __future__ import annotations

from nasviz.errors import InvalidSettingError

__all__ = ["place_in_periods", "progressive_factor", "shares"]


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


def place_in_periods(step: int, num_steps: int, periods: int) -> tuple[int, int, int]:
    """Which period a step belongs to, its place there, and how many steps that period has.

    Examples:
        >>> [place_in_periods(step, 7, 3) for step in range(7)]
        [(0, 0, 2), (0, 1, 2), (1, 0, 2), (1, 1, 2), (2, 0, 3), (2, 1, 3), (2, 2, 3)]
    """
    length = num_steps // periods
    period = min(step // length, periods - 1)
    return period, step - period * length, length if period < periods - 1 else num_steps - period * length


def shares(k: int, periods: int) -> tuple[int, ...]:
    """How many of `k` structures are to be zero at the end of each period; the last one takes the rest.

    Examples:
        >>> shares(7, 3)
        (2, 4, 7)
    """
    return (*(k // periods * period for period in range(1, periods)), k)
