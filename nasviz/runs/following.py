"""A run that is looked at again and again: only what is new is read, once for all who look.

Reading a row of SQLite takes the interpreter from other threads for a moment, so a server with several pages
on one run would mostly wait for itself if each of them read everything twice a second.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np

from nasviz.runs.database import stamp
from nasviz.runs.files import DATABASE, is_file
from nasviz.runs.records import Tail, Vectors
from nasviz.runs.tail import read_position, read_tail

__all__ = ["Follower"]


class Follower:
    """Keeps what was read of a run; for any number of threads.

    Args:
        folder: Of the run.
        rows: Of a run with more steps, every n-th row is kept: so many, or up to twice as many.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder, self.rows = folder, rows
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] | None = None
        self._every = 1
        self._tail: Tail | None = None
        self._file: int | None = None
        """Which file was read: a run may be deleted, and one with its name be made."""

    def read(self) -> Tail:
        """All that is on record now, to be looked at only; the same object as long as nothing is added.

        Raises:
            RunNotFoundError: The folder is gone.
            DataError: The store is damaged.
        """
        with self._lock:
            now, file = stamp(self.folder), self._number()
            if file != self._file:
                self._tail, self._file = None, file
            if self._tail is None or now is None or now != self._stamp:
                self._tail = self._newer(self._tail)
                self._stamp = now
            return self._tail

    def _number(self) -> int | None:
        path = self.folder / DATABASE
        return path.lstat().st_ino if is_file(path) else None

    def _newer(self, before: Tail | None) -> Tail:
        last_step, _ = read_position(self.folder)
        if before is None or not 0 <= before.last_step <= last_step:
            self._every = 1
        while last_step // self._every >= 2 * self.rows:
            self._every *= 2
        if before is not None and 0 <= before.last_step <= last_step:
            new = read_tail(self.folder, before.last_step, every=self._every)
            if _resumes(new) == _resumes(before):
                return _joined(before, new, self._every)
        # The first look, or a worker has begun anew from an earlier step.
        return read_tail(self.folder, every=self._every)


def _resumes(tail: Tail) -> int:
    return sum(event.kind == "resume" for event in tail.events)


def _joined(before: Tail, new: Tail, every: int) -> Tail:
    """Everything of `before` that is still wanted, and what is new."""
    steps = before.steps
    if len(new.steps):  # the last row always comes; now it is another one
        steps = np.concatenate([steps[steps["step"] % every == 0], new.steps]).view(np.recarray)
    return replace(
        new,
        steps=steps,
        scores=_appended(before.scores, new.scores),
        norms=_appended(before.norms, new.norms),
        cosines=_appended(before.cosines, new.cosines),
    )


def _appended(before: Vectors, new: Vectors) -> Vectors:
    if not len(new.steps):
        return before
    if not len(before.steps):
        return new
    values = np.concatenate([before.values, new.values])
    return Vectors(np.concatenate([before.steps, new.steps]), values, new.structures)
