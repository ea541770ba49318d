"""Duration of a sweep, estimated from runs timed on this machine, else from multiply-accumulates."""

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
"""Training throughput of one CPU core; a rough figure for networks that were never timed on this machine."""
PASSES = 3
"""Forward pass, and backward passes to inputs and to weights."""
START_S = 12.0
"""Seconds for loading torch, tracing, construction and export."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated cost of a sweep."""

    num_runs: int
    num_steps: int
    """Total number of steps."""
    seconds: float
    """Total time of the runs with a known duration, one after the other."""
    num_timed: int
    """Number of runs timed by a similar run that finished on this machine."""
    num_unknown: int
    """Number of runs with unknown duration, not included in `seconds`."""


def estimate(settings: SweepSettings, store: Store) -> Estimate:
    """Return the estimated number of runs, steps and seconds of a sweep."""
    done = [summary for summary in store.list() if summary.state == "done" and summary.settings is not None]
    paces: dict[tuple[object, ...], float | None] = {}
    num_steps, seconds, num_timed, num_unknown = 0, 0.0, 0, 0
    runs = settings.runs
    for run in runs:
        steps = _steps(run)
        num_steps += steps
        kind = _workload(run)
        if kind not in paces:
            similar = [s for s in done if s.settings and _workload(s.settings) == kind]
            paces[kind] = _seconds_per_step(store, similar)
        pace = paces[kind]
        if pace is not None:
            seconds += pace * steps
            num_timed += 1
        elif (rough := _seconds_from_macs(run, steps)) is not None:
            seconds += rough
        else:
            num_unknown += 1
    return Estimate(len(runs), num_steps, seconds, num_timed, num_unknown)


def _workload(run: RunSettings) -> tuple[object, ...]:
    """Return the settings that determine the duration of a step."""
    return (run.network, run.data, run.batch_size, run.device)


def _steps(run: RunSettings) -> int:
    facts = FACTS.get(run.data)
    is_known = facts is not None and facts.num_train > 0
    return run.schedule(facts.num_train).total_steps if facts is not None and is_known else 0


def _seconds_per_step(store: Store, similar: Sequence[RunSummary]) -> float | None:
    """Return the seconds per step, start and end included, of the latest run that was not resumed."""
    for summary in similar:
        try:
            run = store.open(summary.id)
            starts, end = run.environments, run.end
        except NasvizError:
            continue
        if end is not None and len(starts) == 1 and summary.step >= 0:
            return max(0.0, end.time - float(starts[0]["time"])) / (summary.step + 1)
    return None


def _seconds_from_macs(run: RunSettings, steps: int) -> float | None:
    entry = run.network.entry
    macs = None if entry is None else entry.published.get("macs")
    if macs is None or entry is None:
        return None
    width = float(dict(run.network.settings).get("width", 1.0)) if entry.input_shape else 1.0
    shape = run.network.input_shape or entry.input_shape
    # MACs of a convolution grow with the square of the width and with the area of the image.
    area = shape[1] * shape[2] / max(1, entry.input_shape[1] * entry.input_shape[2]) if shape else 1.0
    return START_S + PASSES * macs * width**2 * area * run.batch_size * steps / MACS_PER_SECOND
