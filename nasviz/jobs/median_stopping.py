"""Median stopping: ends runs of a sweep whose accuracy stays below the median of comparable runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from nasviz.errors import NasvizError
from nasviz.jobs.launch import cancel_run
from nasviz.runs import Evaluation, Run, RunSettings, Sweep
from nasviz.runs.median_rule import judge, write_verdict
from nasviz.runs.tail import read_evaluations, read_position

__all__ = ["MedianStopper"]

POLL_S = 1.0


class MedianStopper:
    """Compares the active runs about once a second; those to stop save a checkpoint and end.

    Args:
        sweep: Its runs are compared if they train the same network on the same data to the same K.
        clock: Returns seconds.
    """

    def __init__(self, sweep: Sweep, clock: Callable[[], float] = time.monotonic) -> None:
        self._sweep, self._clock = sweep, clock
        self._last_look = float("-inf")
        self._ended: dict[int, tuple[Evaluation, ...]] = {}
        """Evaluations of runs that have ended."""

    def look(self, active: Iterable[int]) -> None:
        """Compare these runs, if enough time has passed."""
        if self._clock() - self._last_look < POLL_S:
            return
        self._last_look = self._clock()
        for index in active:
            run = self._sweep.run(index)
            try:
                if run is not None and run.is_active:
                    self._look(index, run)
            except NasvizError:
                continue  # deleted or ended between two looks

    def _look(self, index: int, run: Run) -> None:
        _, total_steps = read_position(run.folder)
        wanted = _comparison_key(run.settings)
        others = []
        for place, other in enumerate(self._sweep.runs()):
            if place == index or other is None:
                continue
            try:
                if _comparison_key(other.settings) == wanted:
                    others.append(self._evaluations(place, other))
            except NasvizError:
                continue  # a damaged run is not compared with
        verdict = judge(read_evaluations(run.folder), others, total_steps)
        if verdict is not None:
            write_verdict(run.folder, verdict)
            cancel_run(run)

    def _evaluations(self, index: int, run: Run) -> tuple[Evaluation, ...]:
        if index in self._ended:
            return self._ended[index]
        has_ended = run.has_ended_in(("done", "failed"))
        found = read_evaluations(run.folder)
        if has_ended:
            self._ended[index] = found
        return found


def _comparison_key(settings: RunSettings) -> tuple[object, ...]:
    """Return what two runs must share for their accuracies to be comparable."""
    names = ("network", "data", "target_sparsity", "slim", "epochs")
    return tuple(settings.value(name) for name in names)
