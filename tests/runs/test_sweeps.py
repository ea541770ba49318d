"""Sweeps as folders: their state comes from files alone, their numbers from the runs that ended."""

import contextlib
import math
from typing import Any

import pytest

from nasviz.cli.sweep_progress import sweep_lines
from nasviz.errors import RunBusyError, RunNotFoundError, RunStateError
from nasviz.jobs.scheduling import MedianStopper
from nasviz.runs import (
    Evaluation,
    Labels,
    RunSettings,
    Store,
    Sweep,
    SweepSettings,
    SweepStore,
    Writer,
    axis,
    cells,
    lock,
)
from nasviz.runs.ending import EndState, write_end
from nasviz.runs.requests import read_request


@pytest.fixture
def sweeps(store: Store) -> SweepStore:
    return SweepStore(store.folder)


@pytest.fixture
def sweep(sweeps: SweepStore, settings: RunSettings) -> Sweep:
    return sweeps.create(SweepSettings(settings, (axis("target_sparsity", (1, 2)), axis("seed", (0, 1, 2)))))


def end(sweep: Sweep, index: int, state: EndState = "done", **result: Any) -> None:
    run = Store(sweep.runs_folder).create(
        sweep.settings.runs[index], run_id=sweep.run_id(index), parent=sweep.id
    )
    write_end(run.folder, state, result=result)


def test_a_sweep_is_done_when_its_runs_are(sweep: Sweep, sweeps: SweepStore, store: Store) -> None:
    assert (sweep.state, sweep.runs()) == ("created", (None,) * 6)
    for index in range(6):
        end(sweep, index, "failed" if index == 4 else "done")
        (summary,) = sweeps.list()
        assert summary.state == ("done" if index == 5 else "stopped")
        assert summary.counts.total() == 6
    assert {run.parent for run in store.list()} == {sweep.id}
    assert [run.settings.seed for run in sweep.summaries() if run and run.settings] == [0, 1, 2] * 2


def test_a_sweep_whose_lock_is_held_is_running(sweep: Sweep, sweeps: SweepStore) -> None:
    with lock.acquire(sweep.folder, "sweep", "scheduler"):
        assert sweep.state == "running"
        with pytest.raises(RunBusyError, match="stop it first"):
            sweeps.delete(sweep.id)
        sweep.ask_to_stop()
        assert sweep.is_asked_to_stop
    with pytest.raises(RunStateError, match="no scheduler"):
        sweep.ask_to_stop()


def test_means_and_deviations_are_those_over_seeds(sweep: Sweep) -> None:
    for index, accuracy in enumerate((0.90, 0.92, 0.94)):
        end(sweep, index, is_valid=True, accuracy_subnet=accuracy, params_after=100 + index)
    end(sweep, 3, is_valid=False, outcome="invalid: no path left", accuracy_full=0.1)
    end(sweep, 4, is_valid=True, accuracy_subnet=0.8)

    first, second = cells(sweep)
    assert (dict(first.point), first.indices) == ({"target_sparsity": 1}, (0, 1, 2))
    accuracy = first.metrics["accuracy_subnet"]
    assert (accuracy.mean, accuracy.std, accuracy.count) == (pytest.approx(0.92), pytest.approx(0.02), 3)
    assert first.metrics["params_after"].mean == 101
    assert (first.num_valid, first.num_invalid, first.is_over) == (3, 0, True)
    assert (second.num_valid, second.num_invalid, second.is_over) == (1, 1, False)
    assert second.counts == {"done": 2, "waiting": 1}
    assert second.metrics["accuracy_subnet"].mean == 0.8
    assert math.isnan(second.metrics["accuracy_subnet"].std)
    assert "params_after" not in second.metrics


def test_runs_of_different_losses_are_not_compared_and_each_names_its_metric(
    sweeps: SweepStore, settings: RunSettings
) -> None:
    axes = axis("loss", ("cross_entropy", "mse")), axis("seed", (0, 1))
    sweep = sweeps.create(SweepSettings(settings, axes, stop_hopeless=True))
    with contextlib.ExitStack() as stack:
        for index, value in enumerate((0.1, 0.9, 3.0, 4.0)):
            run = Store(sweep.runs_folder).create(
                sweep.settings.runs[index], run_id=sweep.run_id(index), parent=sweep.id
            )
            writer = stack.enter_context(Writer(run))
            writer.describe(total_steps=10)
            writer.evaluation(Evaluation(9, 0, "full", 1.0, value, 8))
        MedianStopper(sweep).look(range(4))
        assert [run and read_request(run.folder) for run in sweep.runs()] == [None] * 4
    for index, value in enumerate((0.1, 0.9, 3.0, 4.0)):
        folder = Store(sweep.runs_folder).open(sweep.run_id(index)).folder
        name = "accuracy" if index < 2 else "mse"
        write_end(folder, "done", result={"is_valid": True, "accuracy_subnet": value, "metrics": [name]})
    assert [cell.metric.name for cell in cells(sweep)] == ["accuracy", "mse"]
    table = "\n".join(sweep_lines(sweep))
    assert "accuracy 50.0%" in table
    assert "mean squared error 3.5" in table


def test_a_sweep_goes_to_the_trash_with_its_runs_and_comes_back(sweep: Sweep, sweeps: SweepStore) -> None:
    end(sweep, 0)
    sweep.write_labels(Labels(name="A grid"))
    sweeps.delete(sweep.id)

    assert (sweeps.list(), sweeps.runs.list(), sweeps.trash()) == ([], [], [sweep.id])
    with pytest.raises(RunNotFoundError):
        sweeps.open(sweep.id)
    assert sweeps.restore(sweep.id).labels.name == "A grid"
    assert [run.id for run in sweeps.runs.list()] == [sweep.run_id(0)]
    assert sweeps.trash() == []


@pytest.mark.parametrize("name", ["../runs", "", "a/b", "nothing", ".trash"])
def test_what_is_no_sweep_is_not_opened(sweeps: SweepStore, name: str) -> None:
    for ask in (sweeps.open, sweeps.restore, sweeps.delete):
        with pytest.raises(RunNotFoundError):
            ask(name)


def test_a_damaged_sweep_is_listed_with_what_is_wrong(sweep: Sweep, sweeps: SweepStore) -> None:
    (sweep.folder / "config.json").write_text('{"sweep": {"base": {"network": {"name": "gone"}}}}')
    (summary,) = sweeps.list()
    assert summary.settings is None
    assert "gone" in (summary.problem or "")
