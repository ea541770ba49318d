"""The scheduler of a sweep: starts its runs slot by slot, and starts those again whose worker was killed.

It keeps nothing that its files do not say. Its workers are detached, so they go on when it is killed; the
next scheduler finds them at work by their locks and waits for them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from nasviz.errors import (
    DataError,
    InvalidSettingError,
    NasvizError,
    RunBusyError,
    RunNotFoundError,
    RunStateError,
    UntrustedCodeError,
)
from nasviz.jobs.launch import cancel_run, start_run
from nasviz.jobs.slots import Slot
from nasviz.runs import Evaluation, Run, RunSettings, Store, Sweep, SweepState, admit, lock, own_folders
from nasviz.runs.ending import write_end
from nasviz.runs.files import last_line, read_table, write_json
from nasviz.runs.median_rule import judge, write_verdict
from nasviz.runs.sweep import OVER, is_at_work, is_over
from nasviz.runs.tail import read_evaluations, read_position

__all__ = ["ATTEMPTS", "LOOK_EVERY_S", "MedianStopper", "Scheduler"]

LOOK_EVERY_S = 0.2
ATTEMPTS = 3
"""How often in a row a worker may die at the same step before its run is given up as failed."""
CANCEL_PATIENCE_S = 10.0
SLOT = "slot.json"
Listener = Callable[[], None]
DAMAGED = (DataError, InvalidSettingError)
"""What is raised for a run that no worker can go on with: it counts as failed, and the sweep goes on."""


class Scheduler:
    """Holds the lock of a sweep and sees to its runs, as a context manager.

    Args:
        sweep: The sweep; nobody else may be seeing to it.
        slots: Where runs may work at the same time, at least one.
        retry_failed: Whether runs that failed are tried again, from their last checkpoint.
        listener: Called at every look.
        sleep: Waits between two looks, so many seconds.
        trust: Folders that user code of the runs may be imported from; None: those that the sweep names
            itself, where this user has made it.

    Raises:
        RunBusyError: On entering: the sweep already has a scheduler.
    """

    def __init__(
        self,
        sweep: Sweep,
        slots: Sequence[Slot],
        *,
        retry_failed: bool = False,
        listener: Listener = lambda: None,
        sleep: Callable[[float], None] = time.sleep,
        trust: Iterable[str | Path] | None = None,
    ) -> None:
        self.sweep = sweep
        self._trust = own_folders(sweep) if trust is None else tuple(map(str, trust))
        self._slots = {slot.name: slot for slot in slots}
        self._retry_failed = retry_failed
        self._listener = listener
        self._sleep = sleep
        self._lock: lock.FolderLock | None = None
        self._num_known = 0
        """Runs that were taken stock of: a bisection, or a second stage, has more of them as it goes on."""
        self._left: deque[int] = deque()
        self._at_work: dict[int, str] = {}
        """Name of the slot in which each run is at work, by its place in the grid."""
        self._stopper = MedianStopper(sweep) if sweep.settings.stop_hopeless else None
        self._deaths: dict[int, list[int]] = {}
        """Step at which each worker of a run has died."""

    def __enter__(self) -> Self:
        self._lock = lock.acquire(self.sweep.folder, "sweep", "scheduler")
        lock.write_pid(self.sweep.folder)
        # A launcher that took the lock has dropped old requests; one that waits now is meant for us.
        if not self._lock.is_inherited:
            self.sweep.forget_request()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._lock is not None
        self._lock.release()

    def run(self) -> SweepState:
        """See to all runs until none is left, or until it is asked to stop; return how the sweep stands.

        Raises:
            RunNotFoundError: The folder of the sweep was deleted.
        """
        assert self._lock is not None, "a Scheduler is used inside `with`"
        self._take_stock()
        while self._left or self._at_work:
            if self.sweep.is_asked_to_stop:
                self._stop()
                break
            self._fill()
            self._listener()
            self._sleep(LOOK_EVERY_S)
            self._look()
            if self._stopper is not None:
                self._stopper.look(self._at_work)
            self._take_stock()
        self.sweep.forget_request()
        self._listener()
        runs = self.sweep.runs()
        return "done" if self.sweep.is_complete(runs) else "stopped"

    def _take_stock(self) -> None:
        """Return which runs are at work already, and which ones are left to do."""
        points = self.sweep.points
        for index in range(self._num_known, len(points)):
            run = self.sweep.run(index)
            if run is not None and is_at_work(run):
                self._at_work[index] = self._slot_of(run)
            elif self.sweep.is_needless(index):
                continue
            elif run is None or not is_over(run, ("done",) if self._retry_failed else OVER):
                self._left.append(index)
        self._num_known = len(points)

    def _slot_of(self, run: Run) -> str:
        """Return the slot of a run that an earlier scheduler started; a name of its own if that is gone."""
        name = str((read_table(run.folder / SLOT) or {}).get("slot"))
        return name if name in self._slots and name not in self._at_work.values() else f"found {run.id}"

    def _fill(self) -> None:
        """Begin runs as long as a slot is free. Runs that were found at work count, wherever they are."""
        taken = set(self._at_work.values())
        free = [slot for name, slot in self._slots.items() if name not in taken]
        room = len(self._slots) - len(self._at_work)
        for slot in free[: max(0, room)]:
            if not self._left:
                return
            index = self._left.popleft()
            self._begin(index, slot)

    def _begin(self, index: int, slot: Slot) -> None:
        run = self.sweep.run(index) or self._create(index)
        try:
            admit(run, self._trust)
        except (UntrustedCodeError, RunStateError, *DAMAGED) as error:
            _fail(run, str(error))
            return
        write_json(run.folder / SLOT, {"slot": slot.name})
        try:
            self._start(run, slot)
        except DAMAGED as error:
            _fail(run, str(error))
            return
        except RunBusyError:
            pass  # somebody has started it by hand: it is at work, and that is all that was wanted
        except RunStateError:
            return  # done meanwhile
        self._at_work[index] = slot.name

    def _start(self, run: Run, slot: Slot) -> None:
        """Let a worker begin, or go on."""
        start_run(run, slot.variables, trust=self._trust)

    def _is_at_work(self, run: Run) -> bool:
        return run.is_active

    def _create(self, index: int) -> Run:
        store, sweep = Store(self.sweep.runs_folder), self.sweep
        return store.create(
            sweep.settings_at(index), run_id=sweep.run_id(index), parent=sweep.id, taken_from=sweep
        )

    def _look(self) -> None:
        """Free the slots of runs whose worker has ended."""
        for index in list(self._at_work):
            run = self.sweep.run(index)
            try:
                if run is not None and self._is_at_work(run):
                    continue
                del self._at_work[index]
                # A person who deletes or cancels a run of a sweep does not want it now: a resume does it.
                if run is not None and run.state in ("crashed", "created"):
                    self._bring_back(index, run)
            except RunNotFoundError:
                continue  # deleted between two looks
            except DAMAGED as error:
                self._at_work.pop(index, None)
                if run is not None:
                    _fail(run, str(error))

    def _bring_back(self, index: int, run: Run) -> None:
        """A run whose worker died is next, unless one after the other died at the same step."""
        step = run.tail().last_step
        deaths = self._deaths.setdefault(index, [])
        deaths.append(step)
        if deaths[-ATTEMPTS:] == [step] * ATTEMPTS:
            self._give_up(run, step)
        else:
            self._left.appendleft(index)

    def _give_up(self, run: Run, step: int) -> None:
        line = last_line(run.folder)
        last = f"; the last line of its log: {line[:300]}" if line else ""
        where = "before its first step" if step < 0 else f"after step {step}"
        _fail(run, f"{ATTEMPTS} workers died one after the other {where}, killed or out of memory{last}")

    def _stop(self) -> None:
        """Let every run at work save a checkpoint and end."""
        runs = [run for index in self._at_work if (run := self.sweep.run(index)) is not None]
        deadline = time.monotonic() + CANCEL_PATIENCE_S
        for run in runs:
            self._ask_to_end(run)
        while any(is_at_work(run, self._is_at_work) for run in runs) and time.monotonic() < deadline:
            for run in runs:
                self._ask_to_end(run)
            self._listener()
            self._sleep(LOOK_EVERY_S)
        self._at_work.clear()

    def _ask_to_end(self, run: Run) -> None:
        try:
            if run.is_active:
                cancel_run(run)
        except NasvizError:
            return  # it has ended, is gone, or is damaged


def _fail(run: Run, words: str) -> None:
    """Put on record that a run has failed, as far as its folder allows: `is_over` knows the rest."""
    try:
        with lock.acquire(run.folder):
            if (end := run.end) is None or end.state != "done":
                write_end(run.folder, "failed", error=words)
    except (*DAMAGED, RunBusyError, RunNotFoundError):
        return  # the damage itself is in the way, or somebody else sees to the run


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
        verdict = judge(read_evaluations(run.folder), others, total_steps, run.settings.metrics[0])
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
    names = ("network", "data", "loss", "target_sparsity", "slim", "epochs", "steps", "train_images")
    return (*(settings.value(name) for name in names), *(metric.label for metric in settings.metrics))
