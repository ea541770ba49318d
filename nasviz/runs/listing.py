"""Summaries of runs, read from their files, for lists, filters and comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nasviz.errors import NasvizError, RunNotFoundError
from nasviz.runs import lock
from nasviz.runs.checking import check_run
from nasviz.runs.files import CONFIG
from nasviz.runs.labels import Labels
from nasviz.runs.median_rule import read_verdict
from nasviz.runs.run import Run, State
from nasviz.runs.storage import as_damage, describe_problem
from nasviz.runs.tail import read_position
from nasviz.settings import RunSettings

__all__ = ["RunSummary", "summarize"]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Summary of a run for lists."""

    id: str
    state: State
    created: float
    """Seconds since 1970."""
    settings: RunSettings | None
    """None if they cannot be read; `problem` says why."""
    step: int = -1
    """Last recorded step; -1 for none."""
    total_steps: int | None = None
    error: str | None = None
    """Reason why the run failed."""
    problem: str | None = None
    """Description of damage in the folder."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """Final report of a finished run: parameters, MACs and accuracy, before and after."""
    parent: str | None = None
    """Id of the sweep that the run belongs to."""
    labels: Labels = field(default_factory=Labels)
    """Name, tags and note."""
    verdict: str | None = None
    """Reason why the median rule stopped the run, if it did."""

    @property
    def progress(self) -> float | None:
        """Fraction of the steps done, in [0, 1]; None before the start."""
        return None if not self.total_steps else min(1.0, (self.step + 1) / self.total_steps)

    @property
    def is_invalid(self) -> bool:
        """True if the run is done but has no sub-network, because the zeros disconnect the outputs."""
        return self.state == "done" and self.result.get("is_valid") is False

    @property
    def diverged(self) -> str | None:
        """Reason why a finished run counts as diverged, or None."""
        reason = self.result.get("diverged")
        return reason if isinstance(reason, str) else None


def summarize(run: Run) -> RunSummary:
    """Return the summary of `run`; damage is reported in `problem` instead of raising.

    Raises:
        RunNotFoundError: The run was deleted in the meantime.
    """
    problems: list[str] = []
    settings, created, step, total_steps, end = None, 0.0, -1, None, None
    parent, labels, verdict = None, Labels(), None
    state: State = "failed"
    with _collect_problems(run, problems):
        created = float(run.config.get("created") or 0.0)
        parent, settings = run.parent, run.settings
    with _collect_problems(run, problems):
        end = run.end
        state = run.state
        labels = run.labels
        if end is not None:
            check_run(run.folder, (CONFIG,))
        verdict = read_verdict(run.folder) if state == "cancelled" else None
        if state == "failed" and end is None:
            lock.is_held(run.folder)  # raises the reason if the lock is not a regular file
    with _collect_problems(run, problems):
        step, total_steps = read_position(run.folder)
    return RunSummary(
        id=run.id,
        state=state,
        created=created,
        settings=settings,
        step=step,
        total_steps=total_steps,
        error=end.error if end else None,
        problem="; ".join(dict.fromkeys(problems)) or None,
        result=end.result if end else {},
        parent=parent,
        labels=labels,
        verdict=None if verdict is None else str(verdict),
    )


@contextmanager
def _collect_problems(run: Run, problems: list[str]) -> Iterator[None]:
    """Append errors to `problems` instead of raising them; values read before the error are kept."""
    try:
        with as_damage(run.folder):
            yield
    except RunNotFoundError:
        raise
    except NasvizError as error:
        problems.append(describe_problem(error))
