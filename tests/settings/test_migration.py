"""Runs and sweeps that nasviz 0.1.0 wrote open as what they were."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from nasviz.catalog import PRESETS
from nasviz.errors import InvalidSettingError
from nasviz.runs import Store, SweepStore
from nasviz.runs.aggregating import cells
from nasviz.runs.presets import row_of
from nasviz.settings import METHODS, RunSettings
from nasviz.settings.files import read_settings

WRITTEN = Path(__file__).with_name("written_by_0_1")
RUNS = sorted(path.parent.name for path in WRITTEN.glob("*/config.json"))


def flat(run: str) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads((WRITTEN / run / "config.json").read_text())["settings"]
    return settings


@pytest.fixture
def store(tmp_path: Path) -> Store:
    shutil.copytree(WRITTEN, tmp_path / "runs")
    return Store(tmp_path / "runs")


@pytest.mark.parametrize("name", RUNS)
def test_every_value_that_a_run_used_is_kept(store: Store, name: str) -> None:
    old, settings = flat(name), store.open(name).settings
    lost = {"optimizer", "network", *(["momentum"] if old["base"] != "sgd" else [])}

    assert settings.method.name == old["optimizer"]
    assert settings.network.to_json() == old["network"]
    for key, value in old.items():
        is_known = key in RunSettings.model_fields or settings.method.has(key)
        if key not in lost and is_known and value is not None:
            here = settings.value(key)
            if key == "protect":  # digits alone were the id of a structure
                value = [f"id:{word}" for word in value]
            assert (list(here) if isinstance(here, tuple) else here) == value, key


@pytest.mark.parametrize("name", RUNS)
def test_what_was_migrated_is_written_and_read_as_today(store: Store, name: str) -> None:
    settings = store.open(name).settings
    assert RunSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_all_methods_are_among_the_folders_of_0_1() -> None:
    assert {flat(name)["optimizer"] for name in RUNS} == set(METHODS)


def test_settings_that_the_method_never_used_are_gone(store: Store) -> None:
    assert (flat("ignored")["momentum"], flat("ignored")["epsilon"]) == (0.3, 0.5)
    assert store.open("ignored").settings.method.chosen() == {
        "mu": 2.0,
        "pruning": "threshold",
        "max_zeros": 1.0,
    }
    assert flat("h2spg_share")["momentum"] == 0.3
    assert store.open("h2spg_share").settings.value("momentum") == 0.9


def test_hidden_defaults_are_those_that_the_run_was_trained_with(store: Store) -> None:
    assert flat("sparsenas")["architecture_lr"] is None
    assert store.open("sparsenas").settings.value("architecture_lr") == 3e-4
    assert store.open("rarts").settings.value("coupling") == 1.0
    assert store.open("cells").settings.value("outside"), "0.1 penalised what lies outside of cells too"
    assert not store.open("filters").settings.value("outside")
    assert store.open("sparsenas").settings.value("target_zeros") == 0
    assert store.open("hspg").settings.schedule(1000).projection_steps == 6
    unset = RunSettings.from_json(flat("hspg") | {"regularization": None})
    assert unset.value("regularization") == 1e-3, "auto since"
    assert store.open("rarts").settings.schedule(1000).projection_steps == 0
    assert store.open("sidt").settings.schedule(1000).projection_steps == 8


def test_all_of_them_are_listed_without_a_problem(store: Store) -> None:
    assert {summary.id: summary.problem for summary in store.list()} == dict.fromkeys(RUNS)
    sweeps = SweepStore(store.folder).list()
    assert {summary.id: summary.problem for summary in sweeps} == dict.fromkeys(
        ["grid", "methods", "steps", "table"]
    )


def test_a_sweep_over_methods_runs_what_it_ran(store: Store) -> None:
    settings = SweepStore(store.folder).open("methods").settings
    found = [(run.method.name, run.seed, run.value("architecture_lr")) for run in settings.runs]
    assert found == [
        (name, seed, rate)
        for name, rate in (("h2spg", None), ("darts", 3e-4), ("sparsenas", 3e-4), ("gsparsity", None))
        for seed in (0, 1)
    ]
    steps = SweepStore(store.folder).open("steps").settings.runs
    assert [(r.value("warmup_steps"), r.value("projection_steps")) for r in steps] == [
        (0.1, 0.2),
        (0.1, 5),
        (4, 0.2),
        (4, 5),
    ]


def test_a_sweep_of_a_table_keeps_its_lines(store: Store) -> None:
    sweep = SweepStore(store.folder).open("table")
    preset = PRESETS["sparsenas"]
    found = [row_of(preset, sweep.settings, cell) for cell in cells(sweep, [None] * len(sweep.points))]
    assert [row.label for row in found if row] == [row.label for row in preset.rows]


def test_the_folder_of_an_old_run_can_be_repeated_from(store: Store) -> None:
    values = read_settings(store.folder / "ignored")
    assert RunSettings.of(**values) == store.open("ignored").settings


def test_a_recorded_run_without_a_later_setting_does_what_it_did() -> None:
    recorded = RunSettings.of(network="demonet", method="gsparsity").to_json()
    assert RunSettings.from_json(recorded).value("pruning") == "proximal"
    del recorded["method"]["pruning"]
    assert RunSettings.from_json(recorded).value("pruning") == "threshold"
    written = {"network": "demonet", "method": {"name": "gsparsity"}}  # by hand: no run has had it yet
    assert RunSettings.from_json(written).value("pruning") == "proximal"


def test_a_word_that_neither_version_knows_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match=r"'warmth'.*later version"):
        RunSettings.from_json(flat("h2spg") | {"warmth": 3})
