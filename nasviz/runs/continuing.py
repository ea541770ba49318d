"""Continue a finished run for more epochs, as a new run that starts where the old one ended.

Weights, optimizer state (momentum, zero structures), best result and the states of all random generators are
carried over exactly. The order of the images depends only on seed and epoch, so it is that of the following
epochs. Warm-up and projection are not repeated. The learning-rate schedule had reached its end, so it
restarts for the added epochs: by default from `lr` to 0 along half a cosine. The result therefore differs
from that of one run over all epochs, whose cosine would have been longer.

The new run is self-contained: the old one may be deleted, and the new one is resumed like any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from nasviz.errors import CheckpointError, RunStateError
from nasviz.runs.checking import BEST
from nasviz.runs.database import open_reader, open_writer
from nasviz.runs.files import (
    CHANGE,
    CHANGE_SUM,
    CHECKPOINT,
    PREVIOUS_CHECKPOINT,
    START,
    START_SUM,
    SUMS,
    read_bytes,
    read_table,
    write_bytes,
    write_json,
)
from nasviz.runs.run import Run
from nasviz.runs.store import Store
from nasviz.settings import RunSettings

__all__ = ["continue_run"]


def continue_run(
    store: Store, run: Run, epochs: int, *, lr: float | None = None, is_confirmed: bool = False
) -> Run:
    """Create a run that trains `run` for `epochs` more epochs, without starting it.

    Its record begins with a copy of that of `run`.

    Args:
        store: Store of the new run.
        run: A finished run.
        epochs: Number of epochs to add.
        lr: Learning rate at the first added step; None for that of `run`.
        is_confirmed: Whether the user has been shown the code that `run` imports and agreed to it. Otherwise
            the new run counts as the user's own only if `run` does.

    Raises:
        RunStateError: `run` is not done.
        CheckpointError: Its last checkpoint is missing or damaged.
        InvalidSettingError: `epochs` or `lr` is out of range.
    """
    if not run.has_ended_in(("done",)):
        raise RunStateError(
            f"run {run.id} is {run.state}: only a finished run can be continued; resume it first"
        )
    facts = run.tail(10**12).facts
    old = run.settings
    if old.is_watched:
        raise RunStateError(f"run {run.id} records a training loop of the user: train on in that loop")
    # As numbers of steps: a fraction would now refer to more epochs.
    phases = {name: int(facts[name]) for name in ("warmup_steps", "projection_steps") if old.method.has(name)}
    # What was worked out for the old run holds on: the search is over, and its optimizer has that rate.
    used = facts.get("settings") or {}
    values = old.method.values
    phases |= {n: used[n] for n, v in values.items() if v == "auto" and used.get(n, "auto") != "auto"}
    if used.get("search_steps"):
        phases["search_steps"] = int(used["search_steps"])
    if old.steps:
        added = epochs * int(facts["steps_per_epoch"])
        length = {"steps": old.steps + added, "trained_steps": old.steps}
    else:
        length = {"epochs": old.epochs + epochs, "trained_epochs": old.epochs}
    settings = old.changed(
        **length,
        lr=old.method.lr if lr is None else lr,
        **phases,
    )
    content = _last_checkpoint(run)
    continued = store.create(settings, continues=run.id, taken_from=None if is_confirmed else run)
    write_json(continued.folder / START_SUM, {"sha256": hashlib.sha256(content).hexdigest()})
    write_bytes(continued.folder / START, content)
    for name in (CHANGE_SUM, CHANGE, BEST):  # of a run that trains its sub-network; and its best iterate
        if (kept := read_bytes(run.folder / name)) is not None:
            write_bytes(continued.folder / name, kept)
    _copy_record(run, continued, settings, facts)
    return continued


def _last_checkpoint(run: Run) -> bytes:
    sums = (read_table(run.folder / SUMS) or {}).get("sha256")
    for name in (CHECKPOINT, PREVIOUS_CHECKPOINT):
        content = read_bytes(run.folder / name)
        if content is None or not isinstance(sums, list):
            continue
        if hashlib.sha256(content).hexdigest() in sums[:1]:
            return content
    raise CheckpointError(
        f"the last checkpoint of run {run.id} is missing or damaged, so it cannot be continued"
    )


def _copy_record(run: Run, continued: Run, settings: RunSettings, facts: Mapping[str, Any]) -> None:
    """Copy the database of the old run, except for its end."""
    reader = open_reader(run.folder)
    if reader is None:
        return
    total = settings.steps or settings.epochs * int(facts["steps_per_epoch"])
    with reader as source, closing(open_writer(continued.folder)) as target:
        target.execute("PRAGMA journal_mode = DELETE")
        source.backup(target)
        target.execute("DELETE FROM events WHERE kind IN ('end', 'constructed')")
        target.execute("DELETE FROM evaluations WHERE network = 'subnet'")
        target.execute("UPDATE facts SET value = ? WHERE name = 'total_steps'", (json.dumps(total),))
        target.commit()
