"""A sub-network that is trained again is kept beside the runs, and its run knows where it comes from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nasviz.catalog import NetworkSource
from nasviz.errors import WeightsError
from nasviz.runs import (
    Run,
    RunSettings,
    Store,
    SweepSettings,
    SweepStore,
    find_subnet,
    is_subnet,
    keep_subnet,
    origin_of,
)


def left_by(run: Run, graph: str = "{}") -> NetworkSource:
    """What a run that is done has in its folder; nothing here reads what the files say."""
    folder = run.folder / "subnet"
    folder.mkdir()
    (folder / "graph.json").write_text(graph)
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "model.py").write_text("raise SystemExit")
    return NetworkSource("demonet_subnet", subnet=str(folder))


def test_a_run_in_a_sub_network_outlives_the_run_that_has_left_it(store: Store, run: Run) -> None:
    child = store.create(RunSettings.of(network=left_by(run)))
    assert child.cut_from == run.id
    store.erase(store.delete(run.id).name)

    kept = Run(child.folder).settings.network
    assert kept.subnet is not None
    assert sorted(file.name for file in Path(kept.subnet).iterdir()) == [
        "checksums.json",
        "graph.json",
        "origin.json",
        "weights.safetensors",
    ]
    again = store.create(RunSettings.of(network=kept))
    assert again.settings.network == kept
    assert again.cut_from == run.id
    assert {summary.id for summary in store.list()} == {child.id, again.id}


def test_a_run_finds_its_sub_network_in_the_trash_and_where_its_folder_was_moved_to(
    store: Store, run: Run, tmp_path: Path
) -> None:
    child = store.create(RunSettings.of(network=left_by(run)))
    key = Path(str(child.settings.network.subnet)).name
    assert child.config["settings"]["network"]["subnet"] == f".subnets/{key}"
    assert is_subnet(Path(str(Run(store.delete(child.id)).settings.network.subnet)))
    store.restore(child.id)

    old = child.config | {"settings": child.settings.to_json()}  # an absolute path, as it once was
    (child.folder / "config.json").write_text(json.dumps(old))
    assert Run(child.folder).settings == child.settings
    moved = store.folder.rename(tmp_path / "moved")
    assert Run(moved / child.id).settings.network.subnet == str(moved / ".subnets" / key)


def test_a_sweep_in_a_sub_network_outlives_the_run_that_has_left_it_and_a_move(
    store: Store, run: Run, tmp_path: Path
) -> None:
    sweep = SweepStore(store.folder).create(SweepSettings(RunSettings.of(network=left_by(run)), ()))
    store.erase(store.delete(run.id).name)
    moved = SweepStore(store.folder.rename(tmp_path / "moved")).open(sweep.id)
    kept = Path(str(moved.settings.base.network.subnet))
    assert kept.parent == tmp_path / "moved" / ".subnets"
    assert is_subnet(kept)


def test_equal_sub_networks_are_kept_once_and_found_by_their_key(store: Store, run: Run) -> None:
    source = left_by(run)
    kept = keep_subnet(store.folder, source)
    assert kept == keep_subnet(store.folder, source) == keep_subnet(store.folder, kept)
    assert find_subnet(store.folder, Path(str(kept.subnet)).name) == kept
    assert origin_of(kept) == origin_of(source) == run.id
    assert origin_of(NetworkSource("demonet")) is None
    other = store.create(run.settings)
    assert keep_subnet(store.folder, left_by(other)) != kept  # the same content of another run


def test_a_cut_by_hand_is_kept_with_the_run_whose_weights_it_has(
    store: Store, run: Run, tmp_path: Path
) -> None:
    source = left_by(run)
    shutil.move(str(source.subnet), tmp_path / "cut")
    moved = NetworkSource("demonet_subnet", subnet=str(tmp_path / "cut"))
    assert origin_of(moved) is None
    assert origin_of(keep_subnet(store.folder, moved, run_id=run.id)) == run.id


@pytest.mark.parametrize("key", ["", "0" * 32, "../" * 8, "..", "/etc", "x" * 999])
def test_a_key_that_names_nothing_is_refused(store: Store, key: str) -> None:
    with pytest.raises(WeightsError, match="no sub-network"):
        find_subnet(store.folder, key)


def test_a_sub_network_that_is_gone_is_told_before_a_run_is_made(store: Store, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="construct it again"):
        store.create(RunSettings.of(network=NetworkSource("demonet_subnet", subnet=str(tmp_path))))
    assert store.list() == []
