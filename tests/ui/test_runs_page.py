"""The Runs page: what it lists, what can be done with a run, how a sweep is asked for and shown."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from nasviz import jobs
from nasviz.catalog import NetworkSource, find_preset
from nasviz.runs import Labels, Run, RunSettings, Store, Sweep, SweepSettings, SweepStore, axis, preset_sweep
from nasviz.runs.ending import write_end
from nasviz.ui import options

ROOT = Path(__file__).parents[2]
RESULT = {
    "is_valid": True,
    "outcome": "valid",
    "accuracy_full": 0.9,
    "accuracy_subnet": 0.88,
    "params_before": 100_000,
    "params_after": 40_000,
    "macs_before": 2_000_000,
    "macs_after": 900_000,
}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(tmp_path / "runs")])
    options.options.cache_clear()
    monkeypatch.setattr(jobs, "warm_up", lambda: None)
    yield tmp_path / "runs"
    options.options.cache_clear()


def done(store: Store, **changes: Any) -> Run:
    run = store.create(RunSettings.of(network=NetworkSource("demonet"), **changes))
    write_end(run.folder, "done", result=RESULT)
    return run


def finished_sweep(runs: Path, settings: SweepSettings, num_invalid: int = 0) -> Sweep:
    sweep = SweepStore(runs).create(settings)
    for index, point in enumerate(settings.runs):
        run = Store(runs).create(point, run_id=sweep.run_id(index), parent=sweep.id)
        cut = {"is_valid": False, "outcome": "invalid: no path left", "accuracy_full": 0.1}
        write_end(run.folder, "done", result=cut if index < num_invalid else RESULT)
    return sweep


def visit(view: str = "All runs", **choices: Any) -> AppTest:
    """The page with one of its views, as a session remembers them."""

    def script(choices: dict) -> None:
        from nasviz.ui import session
        from nasviz.ui.pages import runs

        for key, value in choices.items():
            session.current().choices.setdefault(key, value)
        runs.run_list()

    app = AppTest.from_function(script, args=({"runs.view": view, **choices},))
    app.run(timeout=60)
    assert not app.exception, app.exception
    return app


def table(app: AppTest, index: int = 0) -> list[dict[str, Any]]:
    return app.dataframe[index].value.to_dict("records")


def press(app: AppTest, label: str) -> AppTest:
    (button,) = [b for b in app.button if b.label == label]
    button.click().run(timeout=60)
    assert not app.exception, app.exception
    return app


def test_runs_are_listed_with_what_people_call_them_and_those_of_sweeps_apart(runs: Path) -> None:
    store = Store(runs)
    done(store).write_labels(Labels("Baseline", ("paper",), "kept for comparison"))
    base = RunSettings.of(network=NetworkSource("demonet"))
    finished_sweep(runs, SweepSettings(base, (axis("seed", (0, 1)),)))
    (row,) = table(visit())
    assert (row["name"], row["note"], list(row["tags"])) == ("Baseline", "kept for comparison", ["paper"])
    assert len(table(visit(**{"runs.every": True}))) == 3


def test_a_run_is_deleted_and_brought_back(runs: Path) -> None:
    store = Store(runs)
    run, other = done(store), done(store)
    app = press(visit(**{"runs.chosen": (run.id,)}), "Delete run")
    assert [[s.id for s in found] for found in (store.list(), store.trash())] == [[other.id], [run.id]]
    press(app, "Undo")
    assert {summary.id for summary in store.list()} == {run.id, other.id}


def test_a_run_is_erased_for_good_from_the_trash(runs: Path) -> None:
    run = done(Store(runs))
    Store(runs).delete(run.id)
    app = visit("Trash")
    app.multiselect[0].set_value([run.id]).run(timeout=60)
    press(app, "Confirm deletion")
    assert Store(runs).trash() == []


def test_a_copy_starts_with_its_changes(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Run] = []
    monkeypatch.setattr(jobs, "start_run", started.append)
    run = done(Store(runs), target_sparsity=2)
    app = visit(**{"runs.chosen": (run.id,)})
    app.text_input(key="dup.k").set_value("0.5")
    app.number_input(key="dup.seed").set_value(7)
    app.text_input(key="dup.more").set_value("optimizer=dhspg batch_size=32 steps=50")
    press(app, "Start duplicate")
    (copy,) = started
    settings = copy.settings
    assert (settings.value("target_sparsity"), settings.seed, settings.method.name, settings.batch_size) == (
        0.5,
        7,
        "dhspg",
        32,
    )
    assert settings.steps == 50, "in place of the epochs of the field"

    app.text_input(key="dup.more").set_value("colour=red")
    press(app, "Start duplicate")
    assert "'colour' is not a setting" in app.error[0].value
    assert len(started) == 1


EVERYTHING = {
    "base": "adamw",
    "weight_decay": 0.01,
    "data": "mine:data",
    "data_folder": "/data",
    "loss": "mine:loss",
    "augmentation": "cutout",
    "mixup": 0.2,
    "lr_schedule": "step",
    "lr_decay": 0.3,
    "lr_decay_epochs": 5,
    "batch_size": 32,
    "seed": 3,
    "device": "cpu",
    "deterministic": True,
    "num_workers": 2,
    "checkpoint_steps": 7,
    "eval_every_epochs": 2,
    "change_over": "off",
    "result": "best",
    "allow_changed_training": True,
}


def test_fine_tuning_keeps_every_setting_of_the_run(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text("data = loss = None\n")
    settings = RunSettings.of(
        network=NetworkSource("demonet"), trust=(str(tmp_path),), target_sparsity=2, **EVERYTHING
    )
    started: list[Run] = []
    monkeypatch.setattr(jobs, "start_run", started.append)
    monkeypatch.setattr(jobs, "require_trusted", lambda settings: None)

    def fine_tune(run: object) -> None:
        from types import SimpleNamespace

        from nasviz.catalog import NetworkSource
        from nasviz.ui.parts import follow_up

        network = NetworkSource("demonet", settings={"width": 0.25})
        follow_up._fine_tune(SimpleNamespace(run=run, as_network=lambda: network))

    run = Store(runs).create(settings)
    app = AppTest.from_function(fine_tune, args=(run,)).run(timeout=60)
    app.button(key="fine.start").click().run(timeout=60)  # then it goes to a page that this script lacks
    (tuned,) = started
    assert {name: tuned.settings.value(name) for name in EVERYTHING} == EVERYTHING
    assert tuned.settings.trust == settings.trust
    assert tuned.settings.value("target_sparsity") == 0
    assert tuned.settings.method.lr == pytest.approx(settings.method.lr * 0.2)


def test_labels_are_written(runs: Path) -> None:
    run = done(Store(runs))
    app = visit(**{"runs.chosen": (run.id,)})
    app.text_input(key=f"name.run.{run.id}").set_value("First")
    app.text_input(key=f"tags.run.{run.id}").set_value("a, b, a")
    press(app, "Save")
    assert run.labels == Labels("First", ("a", "b"))


def test_several_runs_are_compared_by_the_settings_in_which_they_differ(runs: Path) -> None:
    ids = tuple(done(Store(runs), seed=seed, lr=0.1).id for seed in (0, 1))
    app = visit(**{"runs.chosen": ids})
    assert "**2 runs**" in [m.value for m in app.markdown]
    assert "Pareto front" in " ".join(m.value for m in app.markdown)


def test_a_sweep_shows_mean_and_deviation_and_a_cross_beside_the_printed_figures(runs: Path) -> None:
    finished_sweep(runs, preset_sweep(find_preset("h2spg_against_dhspg")), num_invalid=6)
    app = visit("Sweeps")
    rows = {row[""]: row for row in table(app)}
    assert len(rows) == 14
    assert rows["DHSPG, 0.3"]["accuracy"] == "✗ no path left"
    assert rows["DHSPG, 0.5"]["accuracy"] == "88.0% ±0.0%"
    assert rows["DHSPG, 0.5"]["published accuracy"] == "✗ no path left"
    assert (rows["H2SPG, 0.5"]["valid"], rows["H2SPG, 0.5"]["parameters"]) == ("3/3", "40k ±0")
    assert rows["H2SPG, 0.5"]["published accuracy"] == "94.61 ±0.19 % (3 valid)"
    assert any("Digits instead of CIFAR-10" in c.value for c in app.caption)
    assert rows["RegNet-800M, full"]["published accuracy"].startswith("95.01")


def test_top_5_and_the_cost_of_the_search_stand_beside_the_printed_ones(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RESULT, "top5_subnet", 0.991)
    monkeypatch.setitem(RESULT, "search_seconds", 8640.0)
    finished_sweep(runs, preset_sweep(find_preset("super_resnet"), axes=(axis("seed", (0,)),)))
    app = visit("Sweeps")
    row = table(app)[0]
    assert (row["top-5"], row["search"]) == ("99.1%", "8,640 s (0.1 days)")
    assert row["published search"] == "0.1 GPU days"
    others = {row["method"]: row for row in table(app, 1)}
    assert others["TENAS"]["search, GPU days"] == 0.04
    assert "top-5 %" not in others["TENAS"]  # not in this table


def test_a_published_table_is_started_with_the_runs_that_were_announced(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Sweep] = []
    monkeypatch.setattr(jobs, "start_sweep", lambda sweep, slots: started.append(sweep))
    app = visit("New sweep")
    app.radio(key="form.way").set_value("Published table").run(timeout=60)
    app.selectbox(key="form.preset").set_value("super_resnet").run(timeout=60)
    app.number_input(key="form.seeds.super_resnet").set_value(2).run(timeout=60)
    assert [metric.value for metric in app.metric] == ["4"]
    assert any("about" in m.value and "rough estimate from MACs" in m.value for m in app.markdown)
    press(app, "Start 4 runs")
    (sweep,) = started
    assert (sweep.settings.preset, len(sweep.points)) == ("super_resnet", 4)
    assert [s.id for s in SweepStore(runs).list()] == [sweep.id]
