"""The median stopping rule: ends runs of a sweep that are unlikely to become good.

A run is stopped if its best accuracy up to an evaluation lies below the median of the best accuracies that
the other runs had reached by the same step (Golovin et al., Google Vizier, section 3.2.2, who use running
averages). It is judged from half of its steps on, once enough other runs were evaluated at that step. The
rule is a heuristic and loses runs that would have caught up late, so it is off by default. The caller chooses
comparable runs: a run that removes more structures should not be stopped for being less accurate.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nasviz.catalog import ACCURACY, Metric, metric_of
from nasviz.errors import DataError
from nasviz.runs.documents import first_invalid, is_count, is_number, is_text
from nasviz.runs.files import read_table, write_json
from nasviz.runs.records import Evaluation

__all__ = ["MIN_OTHERS", "VERDICT", "Verdict", "clear_verdict", "judge", "read_verdict", "write_verdict"]

VERDICT = "hopeless.json"
"""Present if the run was stopped by the rule."""
MIN_OTHERS = 2
_CHECKS = {
    "step": is_count,
    "accuracy": is_number,
    "median": is_number,
    "num_others": is_count,
    "metric": is_text,
}
GRACE = 0.5
"""Fraction of its steps that a run completes before it is judged."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Reason why a run was stopped."""

    step: int
    """Step of the evaluation that was judged."""
    accuracy: float
    """Best accuracy of the run up to that step."""
    median: float
    """Median of the best accuracies of the other runs up to that step."""
    num_others: int
    metric: str = ACCURACY.name

    def __str__(self) -> str:
        metric = metric_of({"metrics": [self.metric]})
        return (
            f"stopped by the median rule at step {self.step}: best {metric.words(self.accuracy)},"
            f" median of {self.num_others} other runs {metric.text(self.median)}"
        )


def judge(
    own: Sequence[Evaluation],
    others: Sequence[Sequence[Evaluation]],
    total_steps: int | None,
    metric: Metric = ACCURACY,
) -> Verdict | None:
    """Judge a run at its latest evaluation that enough others have made too; None if it may continue.

    Args:
        own: Evaluations of the run, oldest first.
        others: Evaluations of each comparable run.
        total_steps: Number of steps that the run will take.
        metric: What the evaluations measure first.

    Examples:
        >>> at = lambda step, accuracy: Evaluation(step, 0, "full", 1.0, accuracy, 360)
        >>> str(judge([at(9, 0.5)], [[at(9, 0.8)], [at(9, 0.9)]], 20))
        'stopped by the median rule at step 9: best accuracy 50.0%, median of 2 other runs 85.0%'
        >>> judge([at(9, 0.9)], [[at(9, 0.8)], [at(9, 0.9)]], 20) is None
        True
    """
    sign = metric.sign
    mine = {e.step: sign * e.accuracy for e in own if e.network == "full"}
    for step in sorted(mine, reverse=True):
        if not total_steps or step + 1 < GRACE * total_steps:
            return None
        bests = [best for other in others if (best := _best_by(other, step, sign)) is not None]
        if len(bests) >= MIN_OTHERS:
            best, median = max(a for s, a in mine.items() if s <= step), statistics.median(bests)
            if not best < median:
                return None
            return Verdict(step, sign * best, sign * median, len(bests), metric.label)
    return None


def _best_by(evaluations: Sequence[Evaluation], step: int, sign: float) -> float | None:
    """Return the best accuracy up to `step`, or None if there was no evaluation at `step` itself."""
    found = {e.step: sign * e.accuracy for e in evaluations if e.network == "full" and e.step <= step}
    return max(found.values()) if step in found else None


def write_verdict(folder: Path, verdict: Verdict) -> None:
    """Record that the run in `folder` was stopped for this reason."""
    write_json(folder / VERDICT, asdict(verdict))


def read_verdict(folder: Path) -> Verdict | None:
    """Return why the rule has stopped the run in `folder`, or None if it has not.

    Raises:
        DataError: The document is damaged.
    """
    document = read_table(folder / VERDICT)
    if document is None:
        return None
    document = {"metric": ACCURACY.name, **document}  # which earlier versions did not name
    if document.keys() != _CHECKS.keys() or first_invalid(document, _CHECKS) is not None:
        raise DataError(f"{folder / VERDICT} is damaged: it does not say why the run was stopped; delete it")
    return Verdict(**document)


def clear_verdict(folder: Path) -> None:
    """Delete the verdict, because the run is resumed."""
    (folder / VERDICT).unlink(missing_ok=True)
