"""Published tables as sweeps: every one can be made, and its printed figures find their line."""

from dataclasses import replace

import pytest
import torch

import nasviz
from nasviz.catalog import NETWORKS, PRESETS, NetworkSource, find_preset
from nasviz.catalog.stages import SECOND_STAGES
from nasviz.errors import InvalidSettingError, UnknownNameError
from nasviz.runs import (
    SweepStore,
    axis,
    cells,
    is_stand_in,
    not_printed,
    parse_axis,
    preset_sweep,
    row_of,
    what_differs,
)
from nasviz.runs.sweep import FIRST_TRAINING, STAGE


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_every_preset_makes_a_sweep_on_digits_whose_cells_find_their_line(preset, tmp_path) -> None:
    settings = preset_sweep(preset)
    assert len(settings.runs) == len(preset.rows) * len(preset.seeds)
    assert {run.data for run in settings.runs} == {"digits"}
    assert is_stand_in(preset, settings)
    assert "digits stand in" in settings.title
    found = cells(SweepStore(tmp_path).create(settings))
    if preset.name in SECOND_STAGES:
        assert not any(row_of(preset, settings, cell) for cell in found), (
            "the figures are those of trained networks"
        )
        found = tuple(replace(cell, point={**cell.point, STAGE: FIRST_TRAINING}) for cell in found)
    assert [row_of(preset, settings, cell) for cell in found] == list(preset.rows)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_the_modules_that_a_preset_names_are_in_its_networks(preset) -> None:
    named: dict[NetworkSource, set[str]] = {}
    for run in preset_sweep(preset).runs:
        named.setdefault(run.network, set()).update(run.collapse, run.value("cells", ()))
    for source, classes in named.items():
        if classes:
            with torch.device("meta"):
                model, _ = nasviz.zoo.build(source)
            assert classes <= {type(module).__name__ for module in model.modules()}


def test_the_ablation_of_h2spg_has_the_figures_of_table_4() -> None:
    rows = {row.label: row.printed for row in find_preset("h2spg_against_dhspg").rows}
    assert (rows["H2SPG, 0.5"].top1, rows["H2SPG, 0.5"].params) == (94.61, 1.83e6)
    assert [row.num_valid for label, row in rows.items() if label.startswith("DHSPG")] == [3, 1, 0, 0, 0]
    runs = preset_sweep(find_preset("h2spg_against_dhspg")).runs
    limit = NETWORKS["regnet_800m"].published["max_sparsity"]
    assert max(run.value("target_sparsity") for run in runs if run.method.name == "h2spg") == limit


def test_what_a_person_says_comes_before_the_preset() -> None:
    preset = find_preset("super_networks")
    settings = preset_sweep(preset, changes={"epochs": 1, "device": "cpu"}, axes=(axis("seed", (5,)),))
    assert [(run.epochs, run.device, run.seed) for run in settings.runs] == [(1, "cpu", 5)] * 6
    assert settings.runs[2].network == NetworkSource("stacked_unets")


def test_data_that_cannot_be_read_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasviz.runs.presets.DATASETS", {"digits": None})
    with pytest.raises(InvalidSettingError, match="CIFAR-10, which nasviz cannot read"):
        preset_sweep(find_preset("h2spg_against_dhspg"), data="published")
    with pytest.raises(UnknownNameError, match="available: h2spg_against_dhspg"):
        find_preset("table_9")


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_every_preset_can_be_run_on_the_data_of_its_document(preset) -> None:
    settings = preset_sweep(preset, data="published", data_folder="/data")
    assert "digits" not in {run.data for run in settings.runs}
    assert {run.data_folder for run in settings.runs} == {"/data"}
    assert not is_stand_in(preset, settings)


def test_what_tells_the_lines_apart_being_set_a_result_belongs_to_none(tmp_path) -> None:
    preset = find_preset("darts_imagenet")
    settings = preset_sweep(preset, changes={"target_sparsity": 2})
    (found,) = cells(SweepStore(tmp_path).create(settings))
    assert found.num_runs == 3
    assert row_of(preset, settings, found) is None


def test_a_network_that_would_take_minutes_an_epoch_is_smaller_on_digits_alone() -> None:
    preset = find_preset("super_networks")
    on_digits, published = preset_sweep(preset), preset_sweep(preset, data="published", data_folder="/data")
    small = NetworkSource("darts_8", (3, 16, 16))
    assert {run.network for run in on_digits.runs if run.network.name == "darts_8"} == {small}
    assert NetworkSource("darts_8") in {run.network for run in published.runs}
    assert what_differs(preset, on_digits) == (
        "Different here: epochs 4 instead of 300; DARTS, 8 cells with images of 16 x 16; epochs 4 instead of"
        " 50."
    )
    assert what_differs(preset, published) == ""


def test_what_differs_is_computed_from_every_printed_setting() -> None:
    preset = find_preset("gsparsity_filters")
    words = what_differs(preset, preset_sweep(preset, changes={"epochs": 3}))
    for text in (
        "ResNet-18 in place of ResNet-50",
        "learning rate 0.1 instead of 0.001",
        "epochs 3 instead of 90",
        "pruning proximal instead of threshold",
        "no training of the found network afterwards (published: epochs 90, learning rate 0.1",
    ):
        assert text in words
    assert "augmentation" not in words  # not printed


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_on_its_own_data_a_preset_differs_by_nothing_that_is_printed(preset) -> None:
    published = preset_sweep(preset, data="published", data_folder="/data")
    words = what_differs(preset, published)
    if not preset.retraining:
        assert words == ""
    else:  # the search is the published one, and what follows it is named
        assert words.startswith("Different here: no training of the found network afterwards (published: ")
        assert ";" not in words
    unsaid = not_printed(preset, published)
    assert unsaid.startswith("Not printed: ours: ")
    assert unsaid.count(";") <= len(preset.ours)
    for name in set(preset.base) - set(preset.ours) - {"network", "method", "collapse", "cells", "emphasis"}:
        wanted = preset.base[name]
        if isinstance(wanted, float) and all(name not in row.changes for row in preset.rows):
            changed = preset_sweep(
                preset, data="published", data_folder="/data", changes={name: wanted / 2 or 0.25}
            )
            assert " instead of " in what_differs(preset, changed), name


PRINTED = {
    "super_networks": {"saliency": "documents", "batch_size": 64, "lr_schedule": "cosine"},
    "sparsenas": {"order": "second", "warmup_steps": 0, "penalty_step": 0.01, "target_zeros": 0.0},
    "rarts": {"warmup_steps": 0, "architecture_lr": 3e-4, "lr": 0.025, "weight_decay": 3e-4, "epochs": 50},
    "gsparsity_darts": {
        "epochs": 50,
        "lr": 1e-3,
        "rho": 0.8,
        "normalisation": "div",
        "projection_steps": 1.0,
    },
    "gsparsity_darts_v2": {"normalisation": "none", "pruning": "threshold"},
    "gsparsity_filters": {"epochs": 90, "lr_schedule": "step", "lr_decay_epochs": 30, "adaptive": True},
    "rarts_width": {"sparsity": 1e-4, "temperature": 4.0, "lr": 0.1, "weight_decay": 1e-4},
}


@pytest.mark.parametrize("name", PRINTED)
def test_a_published_run_has_the_settings_that_its_document_prints(name: str) -> None:
    for run in preset_sweep(find_preset(name), data="published", data_folder="/data").runs:
        assert {key: run.value(key) for key in PRINTED[name]} == PRINTED[name]
    runs = preset_sweep(find_preset("super_networks"), data="published", data_folder="/data").runs
    assert [run.epochs for run in runs[::3]] == [300, 300, 300, 300, 50, 50]  # as the recipes of the catalog
    runs = preset_sweep(find_preset("rarts"), data="published", data_folder="/data").runs
    assert [run.value("latency_weight") for run in runs[::3]] == [None, None, None, 0.002]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mixup": 0.4}, "mixup 0.4 instead of 0"),
        ({"label_smoothing": 0.1}, "label smoothing 0.1 instead of 0"),
        ({"change_over": "off"}, "change-over off instead of auto"),
        ({"from_scratch": True}, "from scratch True instead of False"),
        ({"network": {"name": "regnet_800m", "settings": {"family": "y"}}}, "family y instead of x"),
    ],
)
def test_what_a_person_changes_differs_although_it_is_not_printed(changes, words) -> None:
    preset = find_preset("h2spg_against_dhspg")
    assert words in what_differs(preset, preset_sweep(preset, data="published", changes=changes))


def test_where_things_lie_and_what_is_ours_differs_by_nothing() -> None:
    preset = find_preset("h2spg_against_dhspg")
    changes = {"device": "cpu", "num_workers": 2, "checkpoint_steps": 7, "momentum": 0.5, "seed": 9}
    assert what_differs(preset, preset_sweep(preset, data="published", changes=changes)) == ""


def test_a_sweep_of_a_version_with_fewer_rows_is_compared_with_those() -> None:
    preset = find_preset("h2spg_against_dhspg")
    whole = preset_sweep(preset, data="published", changes={"epochs": 4})
    lines, *others = whole.axes
    for before in (lines[:10], lines[9::-1]):
        assert what_differs(preset, replace(whole, axes=(before, *others))) == what_differs(preset, whole)


def test_an_axis_over_steps_replaces_the_epochs_of_the_rows() -> None:
    preset = find_preset("super_networks")
    sweep = preset_sweep(preset, data="published", axes=(parse_axis("steps=100,200"),))
    assert {run.steps for run in sweep.runs} == {100, 200}
    assert "100 steps instead of" in what_differs(preset, sweep)


def test_further_axes_and_stages_differ() -> None:
    preset = find_preset("h2spg_against_dhspg")
    grid = preset_sweep(preset, data="published", axes=(axis("mixup", (0.0, 0.4)),))
    assert what_differs(preset, grid) == "Different here: mixup 0.4 instead of 0."
    search = find_preset("gsparsity_darts")
    published = preset_sweep(search, data="published", data_folder="/data")
    (stage,) = published.then
    further = replace(published, then=({**stage, "mixup": 0.2}, stage))
    assert what_differs(search, further) == (
        "Different here: mixup 0.2 instead of none in stage 2; a stage 3 that is not published."
    )
    assert what_differs(search, replace(published, then=())) == "Different here: nothing in stage 2."


def test_full_networks_of_several_sizes_have_rows_of_their_own() -> None:
    preset = find_preset("h2spg_against_dhspg")
    rows = [row for row in preset.rows if row.label.endswith("full")]
    assert [row.label for row in rows] == [
        f"RegNet-{scale}, full" for scale in ("800M", "600M", "400M", "200M")
    ]
    assert [row.printed.top1 for row in rows] == [95.01, None, None, None]
    for settings in (preset_sweep(preset), preset_sweep(preset, data="published")):
        runs = [run for run in settings.runs if run.value("target_sparsity") == 0]
        assert [dict(run.network.settings)["scale"] for run in runs[::3]] == ["800M", "600M", "400M", "200M"]


@pytest.mark.parametrize(
    ("name", "count", "system", "figures"),
    [
        ("sparsenas_imagenet", 5, "FairDARTS-B", (75.1, 92.5, 4.8e6, None)),
        ("gsparsity_imagenet", 5, "P-DARTS", (74.11, 91.73, 3.67e6, 0.3)),
        ("rarts_imagenet", 9, "MiLeNAS", (74.6, 92.1, 4.9e6, None)),
        ("gsparsity_darts_best", 7, "PC-DARTS", (97.38, None, None, None)),
    ],
)
def test_tables_of_a_second_stage_show_other_methods(
    name: str, count: int, system: str, figures: tuple[float | None, ...]
) -> None:
    others = dict(find_preset(name).others)
    assert len(others) == count
    found = others[system]
    assert (found.top1, found.top5, found.params, found.search_days) == figures
