"""Runs at a glance: one summary a run, read from its files, for lists, filters and comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nasviz.errors import NasvizError, RunNotFoundError
from nasviz.runs import lock
from nasviz.runs.checking import check_run
from nasviz.runs.damage import as_damage, described
from nasviz.runs.files import CONFIG
from nasviz.runs.labels import Labels
from nasviz.runs.median_rule import verdict_on
from nasviz.runs.run import Run, State
from nasviz.runs.tail import read_position
from nasviz.settings import RunSettings

__all__ = ["RunSummary", "summarize"]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a list shows of a run."""

    id: str
    state: State
    created: float
    """Seconds since 1970."""
    settings: RunSettings | None
    """None where they cannot be read; `problem` says why."""
    step: int = -1
    """Last step on record; -1 for none."""
    total_steps: int | None = None
    error: str | None = None
    """Why it failed."""
    problem: str | None = None
    """What is damaged in its folder."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """Final report of a run that is done: parameters, MACs, accuracy, before and after."""
    parent: str | None = None
    """Id of the sweep that it belongs to."""
    labels: Labels = field(default_factory=Labels)
    """Name, tags and note that people gave it."""
    verdict: str | None = None
    """Why its sweep has stopped it, where it has."""

    @property
    def progress(self) -> float | None:
        """Share of the steps that are done; None before the start."""
        return None if not self.total_steps else min(1.0, (self.step + 1) / self.total_steps)

    @property
    def is_invalid(self) -> bool:
        """Whether it is done and left no network: what became zero cuts the outputs off."""
        return self.state == "done" and self.result.get("is_valid") is False

    @property
    def diverged(self) -> str | None:
        """Why the training of a run that is done taught nothing; None where it may have."""
        words = self.result.get("diverged")
        return words if isinstance(words, str) else None


def summarize(run: Run) -> RunSummary:
    """The summary of `run`; what is damaged in it becomes `problem`, not an error.

    Raises:
        RunNotFoundError: The run was deleted meanwhile.
    """
    problems: list[str] = []
    settings, created, step, total_steps, end = None, 0.0, -1, None, None
    parent, labels, verdict = None, Labels(), None
    state: State = "failed"
    with _noting(run, problems):
        created = float(run.config.get("created") or 0.0)
        parent, settings = run.parent, run.settings
    with _noting(run, problems):
        end = run.end
        state = run.state
        labels = run.labels
        if end is not None:
            check_run(run.folder, (CONFIG,))
        verdict = verdict_on(run.folder) if state == "cancelled" else None
        if state == "failed" and end is None:
            lock.is_held(run.folder)  # a lock that is no file is the reason
    with _noting(run, problems):
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
def _noting(run: Run, problems: list[str]) -> Iterator[None]:
    """Note what is damaged in place of raising it; what could be read before stays."""
    try:
        with as_damage(run.folder):
            yield
    except RunNotFoundError:
        raise
    except NasvizError as error:
        problems.append(described(error))
