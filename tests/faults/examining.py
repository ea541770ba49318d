"""What must hold of a run's folder at every moment, whoever was killed in it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from nasviz.runs import Run
from nasviz.runs.writer import FLUSH_ROWS

TIMES = {"seconds", "examples_per_second", "memory_mb"}


def examine(run: Run) -> None:
    """No file of the run is torn, no row is there twice, and none is missing between two others."""
    for path in run.folder.glob("*.json"):
        json.loads(path.read_bytes())
    sums_path = run.folder / "checkpoint.json"
    sums = json.loads(sums_path.read_bytes())["sha256"] if sums_path.exists() else []
    for path in run.folder.glob("*.pt"):
        if path.name.startswith("checkpoint"):
            assert hashlib.sha256(path.read_bytes()).hexdigest() in sums, f"{path.name} is torn"
        torch.load(path, weights_only=True)
    if (run.folder / "run.db").exists():
        with closing(sqlite3.connect(run.folder / "run.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    tail = run.tail()
    assert tail.steps.step.tolist() == list(range(len(tail.steps)))
    told = Counter((e.step, e.kind, e.text) for e in tail.events if e.kind != "resume")
    assert not [event for event, count in told.items() if count > 1]
    assert len({(e.step, e.network) for e in tail.evaluations}) == len(tail.evaluations)


def lost_rows(run: Run, made: int) -> int:
    """How many of the steps that were made are not on record; at most one buffer may be missing."""
    lost = max(0, made - run.tail().last_step)
    assert lost <= FLUSH_ROWS, f"{lost} rows lost"
    return lost


def weights_hash(run: Run) -> str:
    """Of the weights that the last checkpoint holds."""
    state = torch.load(run.folder / "checkpoint.pt", weights_only=True)
    total = hashlib.sha256()
    for name, tensor in sorted(state["network"].items()):
        total.update(name.encode() + tensor.numpy().tobytes())
    return total.hexdigest()


def assert_ends_alike(expected: Run, found: Run) -> None:
    """Weights to the last bit, every row but its times, every evaluation and every event but the resumes."""
    assert found.state == expected.state == "done"
    examine(found)
    assert weights_hash(found) == weights_hash(expected)
    one, other = expected.tail(), found.tail()
    for name in set(one.steps.dtype.names or ()) - TIMES:
        np.testing.assert_array_equal(one.steps[name], other.steps[name], err_msg=name)
    np.testing.assert_array_equal(one.scores.values, other.scores.values)
    np.testing.assert_array_equal(one.norms.values, other.norms.values)
    np.testing.assert_array_equal(one.cosines.values, other.cosines.values)
    assert one.evaluations == other.evaluations
    events = [[(e.step, e.kind, e.text) for e in t.events if e.kind != "resume"] for t in (one, other)]
    assert events[0] == events[1], f"{set(events[0]) ^ set(events[1])}"
    assert left_over(found.folder) == []


def left_over(folder: Path) -> list[str]:
    """Files that a process has begun and not finished."""
    return [str(path.relative_to(folder)) for path in folder.rglob(".*") if path.name != ".lock"]
