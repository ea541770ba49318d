"""The median rule at work: stops the hopeless among the runs that a scheduler sees to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from nasviz.errors import NasvizError
from nasviz.jobs.launch import cancel_run
from nasviz.runs import Evaluation, Run, RunSettings, Sweep
from nasviz.runs.hopeless import judge, mark_hopeless
from nasviz.runs.tail import read_evaluations, read_position

__all__ = ["Judge"]

LOOK_EVERY_S = 1.0


class Judge:
    """Judges the runs at work about once a second, and lets the hopeless save a checkpoint and end.

    Args:
        sweep: Runs of it are compared that train the same network and give up as much of it.
        clock: Seconds.
    """

    def __init__(self, sweep: Sweep, clock: Callable[[], float] = time.monotonic) -> None:
        self._sweep, self._clock = sweep, clock
        self._last_look = float("-inf")
        self._ended: dict[int, tuple[Evaluation, ...]] = {}
        """Evaluations of runs that make no more of them."""

    def look(self, at_work: Iterable[int]) -> None:
        """Judge these runs, if it is time to."""
        if self._clock() - self._last_look < LOOK_EVERY_S:
            return
        self._last_look = self._clock()
        for index in at_work:
            run = self._sweep.run(index)
            try:
                if run is not None and run.is_active:
                    self._look(index, run)
            except NasvizError:
                continue  # deleted or ended between two looks

    def _look(self, index: int, run: Run) -> None:
        _, total_steps = read_position(run.folder)
        wanted = _likeness(run.settings)
        others = []
        for place, other in enumerate(self._sweep.runs()):
            if place == index or other is None:
                continue
            try:
                if _likeness(other.settings) == wanted:
                    others.append(self._evaluations(place, other))
            except NasvizError:
                continue  # a damaged run is compared with nobody, and hinders nobody
        verdict = judge(read_evaluations(run.folder), others, total_steps)
        if verdict is not None:
            mark_hopeless(run.folder, verdict)
            cancel_run(run)

    def _evaluations(self, index: int, run: Run) -> tuple[Evaluation, ...]:
        if index in self._ended:
            return self._ended[index]
        has_ended = run.has_ended_in(("done", "failed"))
        found = read_evaluations(run.folder)
        if has_ended:
            self._ended[index] = found
        return found


def _likeness(settings: RunSettings) -> tuple[object, ...]:
    """What two runs have to share, so that their accuracies can be compared."""
    names = ("network", "data", "target_sparsity", "slim", "epochs")
    return tuple(settings.value(name) for name in names)
