"""The single writer of a run: rows are buffered and written four times a second, or 512 at a time.

Rows are keyed by step, so a resumed run replaces those after its checkpoint. Each flush is one transaction.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nasviz.errors import DataError, LostProcessError, NasvizError, NasvizWarning, RunStateError
from nasviz.runs import lock
from nasviz.runs.checking import sums_of_run
from nasviz.runs.database import VECTOR_TABLES, open_writer
from nasviz.runs.documents import finite
from nasviz.runs.ending import EndState, read_end, write_end
from nasviz.runs.files import CONFIG, DATABASE, END, PAUSED, remove_leftovers, require_folder, write_json
from nasviz.runs.records import STEP_TYPE, Evaluation, Event, StepRecord
from nasviz.runs.requests import Request, forget_request, read_request, wait_while_paused
from nasviz.runs.run import Run
from nasviz.runs.storage import storage_error
from nasviz.runs.trackers import Mirror, Number, numbers_of, without_credentials

__all__ = ["FLUSH_ROWS", "FLUSH_SECONDS", "Writer"]

FLUSH_ROWS = 512
FLUSH_SECONDS = 0.25
ReadBack = Callable[[Sequence[Any]], Sequence[NDArray[np.floating[Any]]]]

_CONCLUSION = "conclusion"
"""Fact with the step after which the end of the run began, and the id of the last event before it."""
_STEP_COLUMNS = STEP_TYPE.names or ()
_INSERT_STEP = f"INSERT OR REPLACE INTO steps VALUES ({', '.join('?' * len(_STEP_COLUMNS))})"


def _read_one_by_one(values: Sequence[Any]) -> list[NDArray[np.floating[Any]]]:
    return [np.asarray(value, dtype=np.float64).reshape(-1) for value in values]


class Writer:
    """Context manager that holds the lock of a run and records it.

    Leaving the block on an exception ends the run as failed, on an interrupt as cancelled. Leaving it without
    `finish`, or because another process of the run died, leaves it crashed and ready to be resumed.

    Args:
        run: The run, which must have no other writer.
        read_back: Converts the numbers and vectors of a flush to flat arrays in one call. The default
            converts one by one; a training loop passes a function that synchronizes with the device only
            once.
        clock: Clock in seconds, for the time between flushes.
        is_locked: Whether the launcher of this process holds the lock on its behalf.
        mirrors: Trackers that receive the numbers of each flush.

    Raises:
        RunBusyError: On entering: the run already has a worker.
        RunStateError: On entering: the run is done.
    """

    def __init__(
        self,
        run: Run,
        *,
        read_back: ReadBack = _read_one_by_one,
        clock: Callable[[], float] = time.monotonic,
        is_locked: bool = False,
        mirrors: Iterable[Mirror] = (),
    ) -> None:
        self.run = run
        self.folder = run.folder
        self._read_back = read_back
        self._clock = clock
        self._is_locked = is_locked
        self._mirrors = list(mirrors)
        self._measured: list[Number] = []
        """Evaluations that mirrors have not received yet."""
        self._lock: lock.FolderLock | None = None
        self._connection: sqlite3.Connection | None = None
        self._is_finished = False
        self._structures: dict[str, tuple[int, ...]] = {}
        self._steps: list[StepRecord] = []
        self._vectors: list[tuple[str, int, Any]] = []
        self._rows: list[tuple[str, tuple[Any, ...]]] = []
        self._last_flush = 0.0

    def __enter__(self) -> Self:
        self._lock = None if self._is_locked else lock.acquire(self.folder)
        try:
            if not self._is_locked:
                self._register()
            remove_leftovers(self.folder)
            (self.folder / PAUSED).unlink(missing_ok=True)
            self._connection = open_writer(self.folder)
            self._open_mirrors()
        except BaseException:
            if self._connection is not None:
                self._connection.close()
            self._release()
            raise
        self._last_flush = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        state: str = "crashed"
        try:
            if not self._is_finished and error is not None and (self.folder / CONFIG).exists():
                state = self._end_on(error)
            elif error is None and not self._is_finished:
                self.flush()
        finally:
            if self._connection is not None:
                self._connection.close()
            self._release()
            self._close_mirrors(state)

    def _open_mirrors(self) -> None:
        """Open all mirrors; if one fails, the run has failed, and those before are closed."""
        mirrors, self._mirrors = self._mirrors, []
        for mirror in mirrors:
            try:
                mirror.open(self.run)
            except BaseException as error:
                self._close_mirrors(self._end_on(error))
                raise
            self._mirrors.append(mirror)

    def _register(self) -> None:
        end = read_end(self.folder)
        if end is not None and end.state == "done":
            raise RunStateError(
                f"run {self.run.id} is done and cannot be changed; start a new run with its settings"
            )
        lock.write_pid(self.folder)
        (self.folder / END).unlink(missing_ok=True)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def describe(self, *, total_steps: int | None, **facts: Any) -> None:
        """Record facts about the whole run, as JSON; progress is measured against `total_steps`, if known."""
        for name, value in {"total_steps": total_steps, **facts}.items():
            self.fact(name, value)
        self.flush()

    def fact(self, name: str, value: Any) -> None:
        """Record or replace one fact, as JSON; the next flush makes it visible."""
        self._rows.append(("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value))))

    def rewind(self, last_step: int) -> None:
        """Delete everything recorded after `last_step`, the last step of the checkpoint."""
        self.flush()
        with self._transaction() as connection:
            for table in ("steps", "evaluations", "events", *VECTOR_TABLES):
                connection.execute(f"DELETE FROM {table} WHERE step > ?", (last_step,))
            # Ids of deleted events are reused, so a later conclusion must not refer to them.
            begun = "DELETE FROM facts WHERE name = ? AND json_extract(value, '$.step') > ?"
            connection.execute(begun, (_CONCLUSION, last_step))

    def begin_conclusion(self, step: int) -> None:
        """Mark all following events as part of the end of the run, after `step`.

        If a worker is killed during the end, the next one repeats it: the events of the first attempt are
        then deleted, except resumes.
        """
        self.flush()
        with self._transaction() as connection:
            row = connection.execute("SELECT value FROM facts WHERE name = ?", (_CONCLUSION,)).fetchone()
            before = json.loads(row[0]) if row else {}
            if before.get("step") == step:
                repeated = "DELETE FROM events WHERE id > ? AND kind != 'resume'"
                connection.execute(repeated, (before["after"],))
                return
            (after,) = connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()
            fact = (_CONCLUSION, json.dumps({"step": step, "after": after}))
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", fact)

    def step(self, record: StepRecord) -> list[tuple[int, float]]:
        """Record a step, after the scores, norms, cosines and events of the same step.

        Returns the result of `flush` if one was due, else an empty list.
        """
        self._steps.append(record)
        if len(self._steps) >= FLUSH_ROWS or self._clock() - self._last_flush >= FLUSH_SECONDS:
            return self.flush()
        return []

    def scores(self, step: int, structures: Sequence[int], scores: Any) -> None:
        """Record the saliency scores of removal structures, as a vector that `read_back` understands."""
        self._vector("scores", step, structures, scores)

    def norms(self, step: int, structures: Sequence[int], norms: Any) -> None:
        """Record the norms of the own groups of removal structures."""
        self._vector("norms", step, structures, norms)

    def cosines(self, step: int, structures: Sequence[int], cosines: Any) -> None:
        """Record the cosines between weights and gradients of removal structures."""
        self._vector("cosines", step, structures, cosines)

    def evaluation(self, evaluation: Evaluation) -> None:
        """Record an evaluation and flush."""
        columns = [column.name for column in fields(Evaluation)]
        places = ", ".join("?" * len(columns))
        statement = f"INSERT OR REPLACE INTO evaluations ({', '.join(columns)}) VALUES ({places})"
        *numbers, metrics = (getattr(evaluation, column) for column in columns)
        self._rows.append((statement, (*numbers, None if metrics is None else json.dumps(metrics))))
        if self._mirrors:
            self._measured += numbers_of([], [evaluation])
        self.flush()

    def event(self, step: int, kind: str, text: str, structure: int | None = None) -> None:
        """Record an event; the next flush makes it visible."""
        values = astuple(Event(step, kind, text, structure))
        self._rows.append(("INSERT INTO events (step, kind, text, structure) VALUES (?, ?, ?, ?)", values))

    def flush(self) -> list[tuple[int, float]]:
        """Write the buffered rows, and return (step, loss) of each step among them, oldest first.

        Raises:
            RunNotFoundError: The folder of the run was deleted.
            StorageError: The disk is full, or the user lacks write permission; then nothing was written.
        """
        self._last_flush = self._clock()
        if not (self._steps or self._vectors or self._rows):
            return []
        steps, self._steps = self._steps, []
        vectors, self._vectors = self._vectors, []
        rows, self._rows = self._rows, []
        # One read-back for all numbers and vectors: each would synchronize with the device otherwise.
        numbers: list[Any] = [
            value for r in steps for value in (r.loss, r.accuracy, r.zero_groups, r.penalty)
        ]
        places = [place for place, value in enumerate(numbers) if not isinstance(value, int | float)]
        arrays = self._read_back(
            [*(numbers[place] for place in places), *(values for _, _, values in vectors)]
        )
        for place, array in zip(places, arrays, strict=False):
            numbers[place] = float(array[0])
        with self._transaction() as connection:
            for statement, row in rows:
                connection.execute(statement, row)
            for (table, step, _), array in zip(vectors, arrays[len(places) :], strict=True):
                blob = array.astype("<f4").tobytes()
                connection.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", (step, blob))
            read = zip(steps, *(numbers[place::4] for place in range(4)), strict=True)
            written = [_row(*columns) for columns in read]
            connection.executemany(_INSERT_STEP, written)
        if self._mirrors:
            self._mirror(written)
        return [(record.step, loss) for record, loss in zip(steps, numbers[0::4], strict=True)]

    @property
    def request(self) -> Request | None:
        """Pending request to the worker."""
        return read_request(self.folder)

    def forget_request(self, request: str | None = None) -> None:
        """Delete the pending request, or only if it is still `request`."""
        forget_request(self.folder, only=request)

    def wait_while_paused(self, step: int) -> Request:
        """Flush, then wait for a request to resume or cancel, and return it."""
        self.flush()
        return wait_while_paused(self.folder, step)

    def mark_paused(self, step: int | None) -> None:
        """Show the run as paused after `step` steps; None: as running again."""
        if step is None:
            (self.folder / PAUSED).unlink(missing_ok=True)
        else:
            write_json(self.folder / PAUSED, {"step": step, "time": time.time()})

    def finish(
        self, state: EndState, *, error: str | None = None, result: Mapping[str, Any] | None = None
    ) -> None:
        """Flush and record how the run ended. Nothing may be recorded afterwards."""
        assert self._connection is not None, "a Writer is used inside `with`"
        self.flush()
        result, left_out = finite(result or {})
        if left_out:
            last = self._connection.execute("SELECT max(step) FROM steps").fetchone()[0]
            words = f"not finite, and so not in the report of the run: {', '.join(left_out)[:400]}"
            self.event(last or 0, "warning", words)
            self.flush()
        forget_request(self.folder)
        files = None
        if state == "done":
            files = sums_of_run(self.folder, self._connection)
        write_end(self.folder, state, error=error, result=result, files=files)
        self._is_finished = True
        self._close_mirrors(state)

    def _mirror(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Pass on what was written; a tracker that fails receives nothing more, and training goes on."""
        numbers, self._measured = [*numbers_of(rows, []), *self._measured], []
        for mirror in [*self._mirrors]:
            try:
                mirror.log(numbers)
            except Exception as error:
                self._mirrors.remove(mirror)
                words = f"{mirror!r} receives nothing more: {type(error).__name__}: {str(error)[:200]}"
                words = without_credentials(words)
                self.event(max((step for _, step, _ in numbers), default=0), "warning", words)

    def _close_mirrors(self, state: str) -> None:
        mirrors, self._mirrors = self._mirrors, []
        for mirror in mirrors:
            try:
                mirror.close(state)
            except Exception as error:
                words = without_credentials(f"{mirror!r} could not be closed: {error}")
                warnings.warn(words, NasvizWarning, stacklevel=3)

    def _end_on(self, error: BaseException) -> str:
        """Record that the block was left on `error`, even if the last rows cannot be written.

        Returns the state of the run then.

        If the disk refuses even this, the state of the run is "crashed". So it is if another process of the
        run has died: that process records the reason, and the launcher restarts all of them.
        """
        state: EndState = "failed" if isinstance(error, Exception) else "cancelled"
        with contextlib.suppress(NasvizError, sqlite3.Error, ArithmeticError):
            self.flush()
        if isinstance(error, LostProcessError):
            return "crashed"
        if isinstance(error, NasvizError):
            message: str | None = str(error)
        else:
            message = f"{type(error).__name__}: {error}" if isinstance(error, Exception) else None
        try:
            forget_request(self.folder)
            write_end(self.folder, state, error=message)
        except OSError as reason:
            error.add_note(f"the end of the run could not be recorded: {reason}")
            return "crashed"
        return state

    def _vector(self, table: str, step: int, structures: Sequence[int], values: Any) -> None:
        known = self._structures.get(table)
        if known is None:
            known = self._structures[table] = tuple(structures)
            fact = (f"{table}.structures", json.dumps(known))
            self._rows.append(("INSERT OR REPLACE INTO facts VALUES (?, ?)", fact))
        if known != tuple(structures) or len(values) != len(known):
            raise DataError(
                f"{table} of step {step} has {len(values)} numbers for structures {list(structures)[:9]}, but"
                f" the run records structures {list(known)[:9]} ({len(known)} in total)"
            )
        self._vectors.append((table, step, values))

    def _transaction(self) -> _Transaction:
        require_folder(self.folder)
        assert self._connection is not None, "a Writer is used inside `with`"
        return _Transaction(self._connection, self.folder / DATABASE)


def _row(
    record: StepRecord, loss: float, accuracy: float, zero_groups: float, penalty: float
) -> tuple[Any, ...]:
    return (
        *(record.step, record.epoch, record.phase, loss, accuracy, record.lr),
        *(record.seconds, record.examples_per_second, record.memory_mb, int(zero_groups), penalty),
    )


class _Transaction:
    """Transaction around a block; errors of SQLite become `StorageError`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection, self.path = connection, path

    def __enter__(self) -> sqlite3.Connection:
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise storage_error(self.path, error) from error
        return self.connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.connection.execute("COMMIT")
        except sqlite3.OperationalError as refusal:
            raise storage_error(self.path, refusal) from refusal
        finally:
            if self.connection.in_transaction:  # a full disk may have ended it already
                self.connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.OperationalError):
            raise storage_error(self.path, error) from error
