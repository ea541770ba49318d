"""How strong a penalty has to be for a wished number of survivors: a coarse grid, then bisection.

GSparsity, appendix E: the number of operations that survive falls with mu, so mu is bracketed on a grid of
powers of ten and found within about ten trials. A trial is a whole training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from nasviz.errors import InvalidSettingError

__all__ = ["Bisection", "BisectionSettings", "Trial", "bisect_mu"]


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


@dataclass(frozen=True, slots=True)
class BisectionSettings:
    """What is searched for, and how long. What comes next follows from the trials that were made.

    Raises:
        InvalidSettingError: The target is negative, or the grid does not rise.

    Examples:
        >>> search = BisectionSettings(12)
        >>> search.next_mu([]), search.next_mu([Trial(0.1, 20), Trial(1.0, 19), Trial(10.0, 10)])
        (0.1, 5.5)
        >>> search.next_mu([Trial(0.1, 12)]) is None
        True
    """

    target: int
    """How many groups are to survive."""
    grid: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)
    """Coarse values, rising; walked until one leaves no more than the target."""
    most_trials: int = 10
    """How many trainings at most, those of the grid included."""
    closeness: float = 1.01
    """The search ends where the bracket's ends differ by less than this factor."""

    def __post_init__(self) -> None:
        rises = list(self.grid) == sorted(set(self.grid))
        if self.target < 0 or not rises or not self.grid or self.grid[0] <= 0 or self.most_trials < 1:
            raise InvalidSettingError(
                f"target={self.target}, grid={list(self.grid)}, most_trials={self.most_trials}: needs a"
                " target from 0, positive and rising values of mu, and at least one trial"
            )

    def next_mu(self, trials: Sequence[Trial]) -> float | None:
        """The mu of the next trial after these, in the order in which they were made; `None` at the end."""
        low, high = self._bracket(trials)
        if len(trials) >= self.most_trials:
            return None
        if high is None:
            return self.grid[len(trials)] if len(trials) < len(self.grid) else None
        is_found = high.survivors == self.target or low * self.closeness >= high.mu
        return None if is_found else (low + high.mu) / 2

    def found(self, trials: Sequence[Trial]) -> Bisection | None:
        """What these trials have found; `None` where even the strongest penalty left more than the target."""
        _, high = self._bracket(trials)
        return None if high is None else Bisection(high.mu, high.survivors, tuple(trials))

    def _bracket(self, trials: Sequence[Trial]) -> tuple[float, Trial | None]:
        low, high = 0.0, None
        for trial in trials:
            if trial.survivors <= self.target:
                high = trial
            else:
                low = trial.mu
        return low, high

    def to_json(self) -> dict[str, Any]:
        """Plain data, ready for `json.dumps`."""
        return asdict(self) | {"grid": list(self.grid)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BisectionSettings:
        """The settings that `to_json` wrote.

        Raises:
            InvalidSettingError: Something is missing, or out of its range.
        """
        try:
            return cls(
                int(data["target"]),
                tuple(float(mu) for mu in data["grid"]),
                int(data["most_trials"]),
                float(data["closeness"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidSettingError(f"settings of a bisection are damaged: {error!r}") from error


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
    search = BisectionSettings(target, tuple(grid), most_trials, closeness)
    trials: list[Trial] = []
    while (mu := search.next_mu(trials)) is not None:
        trials.append(Trial(mu, count_survivors(mu)))
    found = search.found(trials)
    if found is None:
        raise InvalidSettingError(
            f"even mu={trials[-1].mu:g} leaves {trials[-1].survivors} groups, and {target} are wanted: give a"
            " grid of larger values, or train for longer, so that dead groups come down to the threshold"
        )
    return found
