"""The median rule: which runs of a sweep are not worth going on with, judged at equal steps.

A run is hopeless where the best accuracy that it has reached by an evaluation lies below the median of what
the others had reached by then (Golovin et al., Google Vizier, section 3.2.2, takes running averages). It is
looked at from half of its steps on, as soon as enough others were evaluated at the same step. A rule of
thumb: a run that would have caught up late is lost, so nobody gets it without asking. Which others are like
it, the caller says: a run that gives up more structures is not hopeless for being less accurate.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nasviz.errors import DataError
from nasviz.runs.documents import first_wrong, is_count, is_number
from nasviz.runs.files import read_table, write_json
from nasviz.runs.records import Evaluation

__all__ = ["FEWEST_OTHERS", "HOPELESS", "Verdict", "clear_hopeless", "judge", "mark_hopeless", "verdict_on"]

HOPELESS = "hopeless.json"
"""There where a run was stopped by the rule."""
FEWEST_OTHERS = 2
_KINDS = {"step": is_count, "accuracy": is_number, "median": is_number, "num_others": is_count}
GRACE = 0.5
"""Share of the steps that every run may take before it is judged."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a run was stopped."""

    step: int
    """Of the evaluation that was judged."""
    accuracy: float
    """Its best one up to there."""
    median: float
    """Of the best ones of the others up to there."""
    num_others: int

    def __str__(self) -> str:
        return (
            f"hopeless at step {self.step}: {self.accuracy:.1%} at best,"
            f" and {self.median:.1%} is the median of {self.num_others} others"
        )


def judge(
    own: Sequence[Evaluation], others: Sequence[Sequence[Evaluation]], total_steps: int | None
) -> Verdict | None:
    """The verdict by the latest evaluation that enough others have made too; None where there is hope.

    Args:
        own: Evaluations of the run, oldest first.
        others: Those of each other run that is like it.
        total_steps: Steps that the run will take.

    Examples:
        >>> at = lambda step, accuracy: Evaluation(step, 0, "full", 1.0, accuracy, 360)
        >>> str(judge([at(9, 0.5)], [[at(9, 0.8)], [at(9, 0.9)]], 20))
        'hopeless at step 9: 50.0% at best, and 85.0% is the median of 2 others'
        >>> judge([at(9, 0.9)], [[at(9, 0.8)], [at(9, 0.9)]], 20) is None
        True
    """
    mine = {e.step: e.accuracy for e in own if e.network == "full"}
    for step in sorted(mine, reverse=True):
        if not total_steps or step + 1 < GRACE * total_steps:
            return None
        bests = [best for other in others if (best := _best_by(other, step)) is not None]
        if len(bests) >= FEWEST_OTHERS:
            best, median = max(a for s, a in mine.items() if s <= step), statistics.median(bests)
            return Verdict(step, best, median, len(bests)) if best < median else None
    return None


def _best_by(evaluations: Sequence[Evaluation], step: int) -> float | None:
    """The best accuracy up to an evaluation at that very step; None where there was none then."""
    found = {e.step: e.accuracy for e in evaluations if e.network == "full" and e.step <= step}
    return max(found.values()) if step in found else None


def mark_hopeless(folder: Path, verdict: Verdict) -> None:
    """Put on record that the run in `folder` is stopped for this reason."""
    write_json(folder / HOPELESS, asdict(verdict))


def verdict_on(folder: Path) -> Verdict | None:
    """Why the rule has stopped the run in `folder`; None where it has not.

    Raises:
        DataError: The document is damaged.
    """
    document = read_table(folder / HOPELESS)
    if document is None:
        return None
    if document.keys() != _KINDS.keys() or first_wrong(document, _KINDS) is not None:
        raise DataError(f"{folder / HOPELESS} does not say why the run was stopped; delete it")
    return Verdict(**document)


def clear_hopeless(folder: Path) -> None:
    """Forget the verdict: somebody wants the run to go on."""
    (folder / HOPELESS).unlink(missing_ok=True)
