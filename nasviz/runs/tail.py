"""Reading the record of a run, completely or incrementally, while the worker is writing."""

from __future__ import annotations

import json
import math
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nasviz.errors import DataError
from nasviz.runs.database import columns_of, open_reader, stamp
from nasviz.runs.files import DATABASE, is_file, require_folder
from nasviz.runs.records import NO_VECTORS, STEP_TYPE, Evaluation, Event, Tail, Vectors

__all__ = ["Follower", "read_evaluations", "read_position", "read_tail"]

# SQLite can open files that nasviz did not write, with values of any type.
_UNREADABLE = (sqlite3.Error, TypeError, ValueError, OverflowError, RecursionError)
_MOST_METRICS = 64
_LONGEST_NAME = 200
"""Metrics of an evaluation, and characters of their names, that are read."""
_EVALUATION = ("step", "epoch", "network", "loss", "accuracy", "num_examples", "metrics")


def read_tail(folder: Path, after_step: int = -1, *, every: int = 1) -> Tail:
    """Return a consistent snapshot of what the run in `folder` has recorded after `after_step`.

    Args:
        folder: Folder of the run.
        after_step: `last_step` of the previous tail; -1 for everything.
        every: Return only rows whose step is a multiple of this, and the last one. Vectors are few and always
            complete.

    Raises:
        RunNotFoundError: The folder does not exist.
        DataError: The database is damaged.
    """
    try:
        reader = open_reader(folder)
        if reader is None:
            return _empty(after_step)
        with reader as connection:
            connection.execute("BEGIN")  # all queries see the same commit
            return _read(connection, after_step, every)
    except _UNREADABLE as error:
        require_folder(folder)
        raise DataError(
            f"{folder / DATABASE} cannot be read ({error}); restore it from a backup, or start a new run"
        ) from error


def read_evaluations(folder: Path) -> tuple[Evaluation, ...]:
    """Return all recorded evaluations, oldest first."""
    try:
        reader = open_reader(folder)
        if reader is None:
            return ()
        with reader as connection:
            return _evaluations(connection)
    except _UNREADABLE as error:
        require_folder(folder)
        raise DataError(f"{folder / DATABASE} cannot be read ({error})") from error


def read_position(folder: Path) -> tuple[int, int | None]:
    """Return the last recorded step (-1 for none) and the total number of steps (None before the start)."""
    try:
        reader = open_reader(folder)
        if reader is None:
            return -1, None
        with reader as connection:
            connection.execute("BEGIN")
            last = connection.execute("SELECT max(step) FROM steps").fetchone()[0]
            return -1 if last is None else int(last), _total_steps(_fact(connection, "total_steps"))
    except _UNREADABLE as error:
        require_folder(folder)
        raise DataError(f"{folder / DATABASE} cannot be read ({error})") from error


def _read(connection: sqlite3.Connection, after_step: int, every: int) -> Tail:
    last = connection.execute("SELECT max(step) FROM steps").fetchone()[0]
    last_step = after_step if last is None else max(int(last), after_step)
    chosen = "WHERE step > ? AND (step % ? = 0 OR step = ?) ORDER BY step"
    arguments = (after_step, every, last_step)
    columns = _columns(connection, "steps", STEP_TYPE.names or ())
    rows = connection.execute(f"SELECT {columns} FROM steps {chosen}", arguments).fetchall()
    facts = {name: json.loads(value) for name, value in connection.execute("SELECT name, value FROM facts")}
    evaluations = _evaluations(connection)
    events = connection.execute("SELECT step, kind, text, structure FROM events ORDER BY step, id")
    return Tail(
        steps=_table(rows),
        scores=_vectors(connection, "scores", after_step),
        norms=_vectors(connection, "norms", after_step),
        evaluations=evaluations,
        events=tuple(_event(row) for row in events),
        last_step=last_step,
        total_steps=_total_steps(facts.get("total_steps")),
        facts=facts,
        cosines=_vectors(connection, "cosines", after_step),
    )


def _vectors(connection: sqlite3.Connection, table: str, after_step: int) -> Vectors:
    structures = tuple(_fact(connection, f"{table}.structures") or ())
    if not structures:
        return NO_VECTORS
    if not all(isinstance(structure, int) for structure in structures):
        raise TypeError(f"the structures of {table} are {str(structures)[:60]}, not integers")
    statement = f"SELECT step, vector FROM {table} WHERE step > ? ORDER BY step"
    rows = connection.execute(statement, (after_step,)).fetchall()
    joined = b"".join(vector for _, vector in rows)
    values = np.frombuffer(joined, dtype="<f4").astype(np.float32).reshape(len(rows), len(structures))
    return Vectors(np.array([step for step, _ in rows], dtype=np.int64), values, structures)


def _table(rows: list[tuple[Any, ...]]) -> np.recarray[tuple[int], np.dtype[np.void]]:
    return np.array(rows, dtype=STEP_TYPE).view(np.recarray)  # None, as SQLite stores NaN, becomes NaN again


def _without_null(row: tuple[Any, ...]) -> tuple[Any, ...]:
    # SQLite stores NaN as NULL.
    return tuple(math.nan if value is None else value for value in row)


def _columns(connection: sqlite3.Connection, table: str, names: tuple[str, ...]) -> str:
    """Return what to select of a table: earlier versions record no penalty and no metrics."""
    known = columns_of(connection, table)
    return ", ".join(name if name in known else "NULL" for name in names)


def _evaluations(connection: sqlite3.Connection) -> tuple[Evaluation, ...]:
    columns = _columns(connection, "evaluations", _EVALUATION)
    rows = connection.execute(f"SELECT {columns} FROM evaluations ORDER BY step, network")
    return tuple(_evaluation(row) for row in rows)


def _evaluation(row: tuple[Any, ...]) -> Evaluation:
    *numbers_found, text = row
    metrics = None if text is None else json.loads(text)
    if metrics is not None:
        if not isinstance(metrics, dict) or not all(isinstance(x, int | float) for x in metrics.values()):
            raise TypeError(f"an evaluation holds the metrics {str(text)[:80]}")
        few = [*metrics.items()][:_MOST_METRICS]
        metrics = {name: float(value) for name, value in few if len(name) <= _LONGEST_NAME}
    step, epoch, network, loss, accuracy, num_examples = _without_null(tuple(numbers_found))
    numbers = step, epoch, loss, accuracy, num_examples
    if not isinstance(network, str) or not all(isinstance(number, int | float) for number in numbers):
        raise TypeError(f"an evaluation holds {str(row)[:80]}")
    counted = int(step), int(epoch), network, float(loss), float(accuracy), int(num_examples)
    return Evaluation(*counted, metrics)


def _event(row: tuple[Any, ...]) -> Event:
    step, kind, text, structure = row
    are_texts = isinstance(kind, str) and isinstance(text, str)
    if not (isinstance(step, int) and are_texts and isinstance(structure, int | None)):
        raise TypeError(f"an event holds {str(row)[:80]}")
    return Event(step, kind, text, structure)


def _fact(connection: sqlite3.Connection, name: str) -> Any:
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return None if row is None else json.loads(row[0])


def _total_steps(fact: Any) -> int | None:
    if fact is None:
        return None
    if not isinstance(fact, int) or not 0 <= fact < 2**63:
        raise TypeError(f"total_steps is {str(fact)[:60]!r}, not a number of steps")
    return fact


def _empty(after_step: int) -> Tail:
    return Tail(_table([]), NO_VECTORS, NO_VECTORS, (), (), after_step, None, {})


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
