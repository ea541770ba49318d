"""Sweeps of two stages: what they train, when the second stage begins, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nasviz.catalog import NetworkSource, find_preset
from nasviz.catalog.stages import SECOND_STAGES
from nasviz.errors import InvalidSettingError
from nasviz.runs import RunSettings, Store, Sweep, SweepSettings, SweepStore, axis, cells, preset_sweep
from nasviz.runs.ending import write_end

GENOTYPE = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"
SEARCH = RunSettings.of(network=NetworkSource("nas_bench_201", (3, 8, 8)), method="darts", seed=3)
STAGE = {"set.channels": 8, "epochs": 4, "lr": 0.2}


def end(sweep: Sweep, index: int, **result: Any) -> None:
    run = Store(sweep.runs_folder).create(sweep.settings_at(index), run_id=sweep.run_id(index))
    write_end(run.folder, "done", result=result)


def test_the_second_stage_trains_what_each_search_has_found(tmp_path: Path) -> None:
    settings = SweepSettings(
        SEARCH, (axis("seed", (3, 4)),), then=(STAGE, {**STAGE, "data": "fashion_mnist"})
    )
    assert SweepSettings.from_json(settings.to_json()) == settings
    sweep = SweepStore(tmp_path).create(settings)
    assert len(sweep.points) == 2
    end(sweep, 1, genotype=GENOTYPE)
    assert len(sweep.points) == 2, "places of runs are those of their searches, whichever ends first"
    end(sweep, 0, genotype=GENOTYPE)
    stages = [point.get("stage") for point in sweep.points]
    assert stages == [None, None, *["training", "training 2 on fashion_mnist"] * 2]
    trained = [sweep.settings_at(index) for index in range(2, 6)]
    assert [(one.seed, one.data) for one in trained] == [
        (seed, data) for seed in (3, 4) for data in ("digits", "fashion_mnist")
    ]
    first = trained[0]
    assert (first.network.name, first.network.input_shape) == ("cells", (3, 8, 8))
    assert dict(first.network.settings) == {"channels": 8, "genotype": GENOTYPE}
    assert (first.epochs, first.method.name, first.value("target_sparsity")) == (4, "h2spg", 0)
    for index in range(2, 6):
        assert sweep.state == "stopped"
        end(sweep, index)
    assert sweep.state == "done"


def test_a_search_without_a_genotype_has_no_second_stage(tmp_path: Path) -> None:
    sweep = SweepStore(tmp_path).create(SweepSettings(SEARCH, then=(STAGE,)))
    end(sweep, 0)
    assert sweep.is_needless(1)
    assert sweep.state == "done"
    with pytest.raises(InvalidSettingError, match="no genotype"):
        sweep.settings_at(1)


@pytest.mark.parametrize(
    "stage",
    [
        {"network": {"name": "demonet"}},
        {"data": "evil.module:load"},
        {"trust": ["/"]},
        {"set.genotype": "__import__('os')"},
        {"set.unknown": 1},
        {"epochs": 0},
        "epochs",
    ],
)
def test_a_second_stage_that_cannot_be_trained_is_refused(stage: Any) -> None:
    with pytest.raises(InvalidSettingError):
        SweepSettings.from_json({"base": SEARCH.to_json(), "then": [stage]})


@pytest.mark.parametrize("name", SECOND_STAGES)
def test_tables_of_trained_networks_have_their_second_stage(name: str) -> None:
    preset = find_preset(name)
    published = preset_sweep(preset, data="published", data_folder="data")
    search = published.runs[0]
    trained = [published.training(search, None, number) for number in range(len(published.then))]
    assert all(one.epochs >= 200 for one in trained)
    if "imagenet" in name:
        assert [(one.data, one.network.num_classes) for one in trained] == [("image_folder", 1000)]
        assert dict(trained[0].network.settings)["stem"] == "imagenet"
    else:
        assert trained[0].data == search.data
    assert len(preset_sweep(preset).then) == 1


def test_what_is_trained_has_the_cost_of_its_search(tmp_path: Path) -> None:
    sweep = SweepStore(tmp_path).create(
        SweepSettings(SEARCH, (axis("seed", (3, 4)), axis("batch_size", (8, 16))), then=(STAGE,))
    )
    for index in range(4):
        end(sweep, index, genotype=GENOTYPE, search_seconds=100.0 * (index + 1))
    for index in range(4, 8):
        end(sweep, index, search_seconds=7.0, top5_subnet=0.9)
    found = {(cell.point["batch_size"], "stage" in cell.point): cell.metrics for cell in cells(sweep)}
    assert [found[size, True]["search_seconds"].mean for size in (8, 16)] == [200.0, 300.0]
    assert found[8, True]["search_seconds"] == found[8, False]["search_seconds"]
    assert found[8, True]["top5_subnet"].mean == 0.9
