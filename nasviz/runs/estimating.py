"""How long a sweep will take: from runs that were timed on this machine, else from multiply-accumulates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nasviz.catalog import FACTS
from nasviz.errors import NasvizError
from nasviz.runs.listing import RunSummary
from nasviz.runs.store import Store
from nasviz.runs.sweep import SweepSettings
from nasviz.settings import RunSettings

__all__ = ["MACS_PER_SECOND", "START_S", "Estimate", "estimate"]

MACS_PER_SECOND = 15e9
"""What one core of a plain processor trains; a rough figure, for networks that were never timed here."""
PASSES = 3
"""Forward, and backward to inputs and to weights."""
START_S = 12.0
"""Loading torch, tracing, constructing and exporting."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a sweep asks of the machine."""

    num_runs: int
    num_steps: int
    """Of all runs together."""
    seconds: float
    """Of all runs, one after the other, as far as it is known."""
    num_timed: int
    """Runs whose time follows from one like it that ended here."""
    num_unknown: int
    """Runs of which nothing is known; their time is not in `seconds`."""


def estimate(settings: SweepSettings, store: Store) -> Estimate:
    """Runs, steps and time of a sweep, before it is started."""
    done = [summary for summary in store.list() if summary.state == "done" and summary.settings is not None]
    paces: dict[tuple[object, ...], float | None] = {}
    num_steps, seconds, num_timed, num_unknown = 0, 0.0, 0, 0
    runs = settings.runs
    for run in runs:
        steps = _steps(run)
        num_steps += steps
        kind = _kind(run)
        if kind not in paces:
            paces[kind] = _pace(store, [s for s in done if s.settings and _kind(s.settings) == kind])
        pace = paces[kind]
        if pace is not None:
            seconds += pace * steps
            num_timed += 1
        elif (rough := _rough(run, steps)) is not None:
            seconds += rough
        else:
            num_unknown += 1
    return Estimate(len(runs), num_steps, seconds, num_timed, num_unknown)


def _kind(run: RunSettings) -> tuple[object, ...]:
    """What decides how long a step takes."""
    return (run.network, run.data, run.batch_size, run.device)


def _steps(run: RunSettings) -> int:
    facts = FACTS.get(run.data)
    is_known = facts is not None and facts.num_train > 0
    return run.schedule(facts.num_train).total_steps if facts is not None and is_known else 0


def _pace(store: Store, alike: Sequence[RunSummary]) -> float | None:
    """Seconds a step, start and end included, of the latest run of its kind that took one start."""
    for summary in alike:
        try:
            run = store.open(summary.id)
            starts, end = run.environments, run.end
        except NasvizError:
            continue
        if end is not None and len(starts) == 1 and summary.step >= 0:
            return max(0.0, end.time - float(starts[0]["time"])) / (summary.step + 1)
    return None


def _rough(run: RunSettings, steps: int) -> float | None:
    entry = run.network.entry
    macs = None if entry is None else entry.published.get("macs")
    if macs is None or entry is None:
        return None
    width = float(dict(run.network.settings).get("width", 1.0)) if entry.input_shape else 1.0
    shape = run.network.input_shape or entry.input_shape
    area = shape[1] * shape[2] / max(1, entry.input_shape[1] * entry.input_shape[2]) if shape else 1.0
    return START_S + PASSES * macs * width**2 * area * run.batch_size * steps / MACS_PER_SECOND
