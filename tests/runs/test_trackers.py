"""Exports to other programs, read back by those; and what is said where one is not installed."""

import csv
import io
import sys
from pathlib import Path

import pytest

from nasviz.errors import MissingPackageError
from nasviz.runs import Evaluation, Labels, Run, RunSettings, Store, Writer
from nasviz.runs.exporting import summaries_to_csv
from nasviz.runs.trackers import runs_to_parquet, steps_to_parquet, to_mlflow, to_tensorboard
from tests.runs.run_writing import record


@pytest.fixture
def written(run: Run) -> Run:
    with Writer(run) as writer:
        writer.describe(total_steps=5)
        for step in range(5):
            writer.step(record(step))
        writer.evaluation(Evaluation(4, 0, "full", 0.5, 0.75, 100))
        writer.finish("done", result={"accuracy_subnet": 0.7, "params_after": 10, "selected": [1]})
    return run


def test_steps_and_runs_come_back_from_parquet(
    written: Run, store: Store, settings: RunSettings, tmp_path: Path
) -> None:

    from pyarrow import parquet

    written.write_labels(Labels("First", ("a", "b")))
    store.create(settings.changed(target_sparsity=0.5))
    assert steps_to_parquet(written, tmp_path / "new" / "steps.parquet") == 5
    steps = parquet.read_table(tmp_path / "new" / "steps.parquet").to_pydict()
    assert steps["loss"] == written.tail().steps.loss.tolist()
    assert runs_to_parquet(store.list(), tmp_path / "runs.parquet") == 2
    rows = {row["id"]: row for row in parquet.read_table(tmp_path / "runs.parquet").to_pylist()}
    row = rows[written.id]
    assert (row["name"], row["tags"], row["setting.target_sparsity"]) == ("First", "a, b", 2.0)
    assert (row["result.accuracy_subnet"], row["state"]) == (0.7, "done")


def test_runs_come_back_from_csv(written: Run, store: Store, settings: RunSettings) -> None:
    store.create(settings)
    rows = list(csv.DictReader(io.StringIO(summaries_to_csv([*store.list(), None]))))
    found = {row["id"]: row for row in rows}
    assert len(rows) == 2
    assert found[written.id]["result.params_after"] == "10"
    assert {row["setting.seed"] for row in rows} == {"0"}


def test_curves_come_back_from_tensorboard(written: Run, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert to_tensorboard(written, tmp_path / "events") == 5 * 6 + 2
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    assert [(e.step, pytest.approx(e.value)) for e in events.Scalars("train/loss")] == [
        (step, 1 / (step + 1)) for step in range(5)
    ]
    assert events.Scalars("full/accuracy")[0].value == 0.75


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("tensorboard", r"nasviz\[tensorboard\]"),
        ("mlflow", r"nasviz\[mlflow\]"),
        ("pyarrow", r"nasviz\[app\]"),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(
    written: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, words: str
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    exports = {
        "tensorboard": lambda: to_tensorboard(written, tmp_path / "events"),
        "mlflow": lambda: to_mlflow(written, f"sqlite:///{tmp_path}/m.db"),
        "pyarrow": lambda: steps_to_parquet(written, tmp_path / "steps.parquet"),
    }
    with pytest.raises(MissingPackageError, match=words):
        exports[package]()
