"""How strong a penalty has to be for a wished number of survivors: a coarse grid, then bisection.

GSparsity, appendix E: the number of operations that survive falls with mu, so mu is bracketed on a grid of
powers of ten and found within about ten trials. A trial is a whole training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from nasviz.errors import InvalidSettingError

__all__ = ["Bisection", "Trial", "bisect_mu"]


class Trial(NamedTuple):
    """One training, and how many groups survived it."""

    mu: float
    survivors: int


class Bisection(NamedTuple):
    """What came of a search for mu."""

    mu: float
    """The weakest penalty tried that left no more than the target."""
    survivors: int
    trials: tuple[Trial, ...]
    """In the order in which they were made; sorted by mu they are the curve."""

    @property
    def curve(self) -> tuple[Trial, ...]:
        """The trials by mu."""
        return tuple(sorted(self.trials))


def bisect_mu(
    count_survivors: Callable[[float], int],
    target: int,
    *,
    grid: Sequence[float] = (0.1, 1.0, 10.0, 100.0),
    most_trials: int = 10,
    closeness: float = 1.01,
) -> Bisection:
    """Search for the mu that leaves `target` groups.

    Args:
        count_survivors: Trains with this mu; how many groups are not zero. Should not rise with mu.
        target: How many are to survive.
        grid: Coarse values, rising; walked until one leaves no more than the target.
        most_trials: How many trainings at most, those of the grid included.
        closeness: The search ends where the bracket's ends differ by less than this factor.

    Raises:
        InvalidSettingError: The target is negative, the grid does not rise, or all of it leaves more.

    Examples:
        >>> found = bisect_mu(lambda mu: max(0, 20 - int(mu)), 12)
        >>> found.survivors, [round(trial.mu, 2) for trial in found.trials]
        (12, [0.1, 1.0, 10.0, 5.5, 7.75, 8.88])
    """
    if target < 0 or list(grid) != sorted(set(grid)) or not grid or grid[0] <= 0:
        raise InvalidSettingError(
            f"target={target}, grid={list(grid)}: needs a target from 0 and positive, rising values of mu"
        )
    trials: list[Trial] = []

    def attempt(mu: float) -> Trial:
        trials.append(Trial(mu, count_survivors(mu)))
        return trials[-1]

    low, high = 0.0, None
    for mu in grid[:most_trials]:
        trial = attempt(mu)
        if trial.survivors <= target:
            high = trial
            break
        low = mu
    if high is None:
        raise InvalidSettingError(
            f"even mu={trials[-1].mu:g} leaves {trials[-1].survivors} groups, and {target} are wanted: give a"
            " grid of larger values, or train for longer, so that dead groups come down to the threshold"
        )
    while high.survivors != target and len(trials) < most_trials and low * closeness < high.mu:
        trial = attempt((low + high.mu) / 2)
        if trial.survivors <= target:
            high = trial
        else:
            low = trial.mu
    return Bisection(high.mu, high.survivors, tuple(trials))
