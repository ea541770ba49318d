"""Live mirrors: what a tracker received while a run was recorded, read back from its own files."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nasviz.runs import Evaluation, Labels, MLflow, Run, TensorBoard, Trackio, WandB, Writer
from tests.runs.run_writing import record


def write(run: Run, mirror: Any, *, flush_at: int = 1) -> None:
    run.write_labels(Labels("Mirrored"))
    with Writer(run, mirrors=[mirror]) as writer:
        writer.describe(total_steps=3)
        for step in range(3):
            writer.step(record(step))
            if step == flush_at:
                writer.flush()
        writer.evaluation(Evaluation(2, 0, "full", 0.5, 0.75, 100))
        writer.finish("done")


EXPECTED = [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]


def test_tensorboard_shows_a_run_while_it_is_recorded(run: Run, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with Writer(run, mirrors=[TensorBoard(tmp_path / "events")]) as writer:
        writer.step(record(0))
        writer.flush()
        live = EventAccumulator(str(tmp_path / "events")).Reload()
        assert [(e.step, e.value) for e in live.Scalars("train/loss")] == EXPECTED[:1]
        for step in (1, 2):
            writer.step(record(step))
        writer.evaluation(Evaluation(2, 0, "full", 0.5, 0.75, 100))
    found = EventAccumulator(str(tmp_path / "events")).Reload()
    assert [(e.step, e.value) for e in found.Scalars("train/loss")] == EXPECTED
    assert found.Scalars("full/accuracy")[0].value == 0.75


class Fake:
    """A tracker that may be out of order; it notes how it was closed."""

    def __init__(self, *, opens: bool = True, logs: bool = True) -> None:
        self.opens, self.logs, self.closed = opens, logs, list[str]()

    def open(self, run: Run) -> None:
        if not self.opens:
            raise ConnectionError("no route")

    def log(self, numbers: Any) -> None:
        if not self.logs:
            raise ConnectionError("no route to https://me:s@cret@example.org/a")

    def close(self, state: str) -> None:
        self.closed.append(state)

    def __repr__(self) -> str:
        return "Fake()"


def test_a_tracker_that_fails_is_dropped_and_the_run_goes_on(run: Run) -> None:
    fake = Fake(logs=False)
    write(run, fake)
    tail = run.tail()
    told = [e.text for e in tail.events if e.kind == "warning"]
    assert (len(tail.steps), run.state, fake.closed) == (3, "done", [])
    assert told == ["Fake() receives nothing more: ConnectionError: no route to https://example.org/a"]
    assert repr(MLflow("https://me:secret@example.org")) == "MLflow('https://example.org')"


def test_a_tracker_is_told_how_the_run_ended(run: Run) -> None:
    fake = Fake()
    with pytest.raises(ZeroDivisionError), Writer(run, mirrors=[fake]):
        raise ZeroDivisionError
    assert (fake.closed, run.state) == (["failed"], "failed")


def test_a_tracker_that_does_not_open_ends_the_run_in_words(run: Run) -> None:
    first, second = Fake(), Fake(opens=False)
    with pytest.raises(ConnectionError):
        Writer(run, mirrors=[first, second]).__enter__()
    assert (first.closed, second.closed) == (["failed"], [])
    assert (run.state, run.is_active, run.end.error) == ("failed", False, "ConnectionError: no route")


@pytest.mark.slow  # mlflow takes seconds to import
def test_mlflow(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    mirror = MLflow(f"file://{tmp_path / 'mlruns'}", "trial")
    write(run, mirror)
    client = MlflowClient(f"file://{tmp_path / 'mlruns'}")
    found = client.get_run(mirror.run_id)
    history = client.get_metric_history(mirror.run_id, "train.loss")
    assert sorted((m.step, m.value) for m in history) == EXPECTED
    assert found.data.metrics["full.accuracy"] == 0.75
    assert (found.info.run_name, found.info.status) == ("Mirrored", "FINISHED")
    assert found.data.tags["nasviz.id"] == run.id


def records_of(log: bytes) -> Iterator[bytes]:
    """Yield the records of a log of Weights & Biases: LevelDB's format, after 7 bytes of its own."""
    place, found = 7, b""
    while place + 7 <= len(log):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", log, place)
        found += log[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield found
            found = b""


@pytest.mark.slow  # its service takes seconds to start
def test_weights_and_biases_offline(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_SILENT", "true")
    write(run, WandB("trial", mode="offline", dir=str(tmp_path)))
    wandb.teardown()
    (file,) = tmp_path.rglob("*.wandb")
    rows = []
    for data in records_of(file.read_bytes()):
        entry = wandb_internal_pb2.Record()
        entry.ParseFromString(data)
        if entry.HasField("history"):
            rows.append({i.key or i.nested_key[0]: json.loads(i.value_json) for i in entry.history.item})
    losses = [(row["_step"], row["train/loss"]) for row in rows if "train/loss" in row]
    assert losses == EXPECTED
    assert [row["full/accuracy"] for row in rows if "full/accuracy" in row] == [0.75]


def test_trackio(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    pytest.importorskip("trackio")
    import sqlite3

    write(run, Trackio("trial", embed=False))
    (file,) = tmp_path.rglob("trial.db")
    with sqlite3.connect(file) as connection:
        rows = [json.loads(text) for (text,) in connection.execute("SELECT metrics FROM metrics")]
    assert sorted(row["train/loss"] for row in rows if "train/loss" in row) == [
        *(value for _, value in reversed(EXPECTED))
    ]
