"""Search for the penalty that leaves a target number of groups: a coarse grid, then bisection.

GSparsity, appendix E: the number of surviving operations falls with mu, so mu is bracketed on a grid of
powers of ten and found within about ten trials. Each trial is a complete training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from nasviz.errors import InvalidSettingError

__all__ = ["Bisection", "BisectionSettings", "Trial", "bisect_mu"]


class Trial(NamedTuple):
    """One training and the number of groups that survived it."""

    mu: float
    survivors: int


class Bisection(NamedTuple):
    """Result of a search for mu."""

    mu: float
    """Weakest penalty tried that left at most `target` groups."""
    survivors: int
    trials: tuple[Trial, ...]
    """Trials in the order in which they were made."""

    @property
    def curve(self) -> tuple[Trial, ...]:
        """Trials in ascending order of mu."""
        return tuple(sorted(self.trials))


@dataclass(frozen=True, slots=True)
class BisectionSettings:
    """Target and limits of a search for mu. The next trial is a function of the trials made so far.

    Raises:
        InvalidSettingError: The target is negative, or the grid is not ascending.

    Examples:
        >>> search = BisectionSettings(12)
        >>> search.next_mu([]), search.next_mu([Trial(0.1, 20), Trial(1.0, 19), Trial(10.0, 10)])
        (0.1, 5.5)
        >>> search.next_mu([Trial(0.1, 12)]) is None
        True
    """

    target: int
    """Number of groups that should survive."""
    grid: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)
    """Coarse values of mu, ascending, tried until one leaves at most `target` groups."""
    most_trials: int = 10
    """Maximum number of trainings, including those of the grid."""
    closeness: float = 1.01
    """The search ends when the ends of the bracket differ by less than this factor."""

    def __post_init__(self) -> None:
        is_ascending = list(self.grid) == sorted(set(self.grid))
        if self.target < 0 or not is_ascending or not self.grid or self.grid[0] <= 0 or self.most_trials < 1:
            raise InvalidSettingError(
                f"target={self.target}, grid={list(self.grid)}, most_trials={self.most_trials}: give a"
                " target of at least 0, positive ascending values of mu, and at least one trial"
            )

    def next_mu(self, trials: Sequence[Trial]) -> float | None:
        """Return the mu to try after `trials` (in the order made), or None when the search is over."""
        low, high = self._bracket(trials)
        if len(trials) >= self.most_trials:
            return None
        if high is None:
            return self.grid[len(trials)] if len(trials) < len(self.grid) else None
        is_found = high.survivors == self.target or low * self.closeness >= high.mu
        return None if is_found else (low + high.mu) / 2

    def found(self, trials: Sequence[Trial]) -> Bisection | None:
        """Return the result of `trials`, or None if every penalty left more than `target` groups."""
        _, high = self._bracket(trials)
        return None if high is None else Bisection(high.mu, high.survivors, tuple(trials))

    def _bracket(self, trials: Sequence[Trial]) -> tuple[float, Trial | None]:
        # The latest trials win: bisection only ever narrows the bracket.
        low, high = 0.0, None
        for trial in trials:
            if trial.survivors <= self.target:
                high = trial
            else:
                low = trial.mu
        return low, high

    def to_json(self) -> dict[str, Any]:
        """Return plain data, ready for `json.dumps`."""
        return asdict(self) | {"grid": list(self.grid)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BisectionSettings:
        """Return the settings that `to_json` wrote.

        Raises:
            InvalidSettingError: A value is missing or out of range.
        """
        try:
            return cls(
                int(data["target"]),
                tuple(float(mu) for mu in data["grid"]),
                int(data["most_trials"]),
                float(data["closeness"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidSettingError(f"the settings of the bisection are damaged: {error!r}") from error


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
        count_survivors: Trains with a given mu and returns the number of nonzero groups. Should not increase
            with mu.
        target: Number of groups that should survive.
        grid: Coarse values of mu, ascending.
        most_trials: Maximum number of trainings, including those of the grid.
        closeness: Ratio of the ends of the bracket at which the search ends.

    Raises:
        InvalidSettingError: The target is negative, the grid is not ascending, or all of it leaves more
            groups.

    Examples:
        >>> found = bisect_mu(lambda mu: max(0, 20 - int(mu)), 12)
        >>> found.survivors, [round(trial.mu, 2) for trial in found.trials]
        (12, [0.1, 1.0, 10.0, 5.5, 7.75, 8.88])
    """
    search = BisectionSettings(target, tuple(grid), most_trials, closeness)
    trials: list[Trial] = []
    while (mu := search.next_mu(trials)) is not None:
        trials.append(Trial(mu, count_survivors(mu)))
    found = search.found(trials)
    if found is None:
        raise InvalidSettingError(
            f"mu={trials[-1].mu:g} still leaves {trials[-1].survivors} groups, but the target is {target}:"
            " add larger values to the grid, or train longer, so that dead groups fall below the threshold"
        )
    return found
