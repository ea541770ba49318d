"""Incremental reading of a run for several readers: each new row is read once.

Reading a row from SQLite holds the GIL for a moment, so a server with several pages on one run would spend
most of its time waiting if each page read the complete record twice a second.
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
    """Cached, thread-safe reader of a run that is still being written.

    Args:
        folder: Folder of the run.
        rows: Number of rows to keep. Longer runs are thinned to every n-th row, between `rows` and twice as
            many.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder, self.rows = folder, rows
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] | None = None
        self._every = 1
        self._tail: Tail | None = None
        self._file: int | None = None
        """Inode of the database that was read: a run may be deleted and another one created with its name."""

    def read(self) -> Tail:
        """Return the current record, not to be modified; the same object as long as nothing is added.

        Raises:
            RunNotFoundError: The folder does not exist.
            DataError: The database is damaged.
        """
        with self._lock:
            now, file = stamp(self.folder), self._inode()
            if file != self._file:
                self._tail, self._file = None, file
            if self._tail is None or now is None or now != self._stamp:
                self._tail = self._update(self._tail)
                self._stamp = now
            return self._tail

    def _inode(self) -> int | None:
        path = self.folder / DATABASE
        return path.lstat().st_ino if is_file(path) else None

    def _update(self, before: Tail | None) -> Tail:
        last_step, _ = read_position(self.folder)
        if before is None or not 0 <= before.last_step <= last_step:
            self._every = 1
        while last_step // self._every >= 2 * self.rows:
            self._every *= 2
        if before is not None and 0 <= before.last_step <= last_step:
            new = read_tail(self.folder, before.last_step, every=self._every)
            if _num_resumes(new) == _num_resumes(before):
                return _join(before, new, self._every)
        # First read, or a worker has resumed from an earlier step and replaced rows.
        return read_tail(self.folder, every=self._every)


def _num_resumes(tail: Tail) -> int:
    return sum(event.kind == "resume" for event in tail.events)


def _join(before: Tail, new: Tail, every: int) -> Tail:
    """Return the rows of `before` that are kept, followed by the new ones."""
    steps = before.steps
    if len(new.steps):  # `before` ends with what was the last row, whether or not `every` divides its step
        steps = np.concatenate([steps[steps["step"] % every == 0], new.steps]).view(np.recarray)
    return replace(
        new,
        steps=steps,
        scores=_append(before.scores, new.scores),
        norms=_append(before.norms, new.norms),
        cosines=_append(before.cosines, new.cosines),
    )


def _append(before: Vectors, new: Vectors) -> Vectors:
    if not len(new.steps):
        return before
    if not len(before.steps):
        return new
    values = np.concatenate([before.values, new.values])
    return Vectors(np.concatenate([before.steps, new.steps]), values, new.structures)
