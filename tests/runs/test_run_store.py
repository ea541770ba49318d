"""Runs are folders: created whole, opened by id only, listed even where damaged, deleted into the trash."""

import json
import re
from pathlib import Path

import pytest

from nasviz.catalog import NetworkSource
from nasviz.errors import RunNotFoundError
from nasviz.runs import Run, RunSettings, Store, Writer


def test_ids_are_generated_unique_and_safe(store: Store, settings: RunSettings) -> None:
    odd = RunSettings.of(network=NetworkSource("package.module:build_it", trust=("/somewhere",)))
    ids = [store.create(s).id for s in (settings, settings, odd)]

    assert len(set(ids)) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", run_id) for run_id in ids)


def test_settings_are_read_back_from_the_folder(store: Store, run: Run, settings: RunSettings) -> None:
    assert store.open(run.id).settings == settings
    assert run.state == "created"
    assert run.progress is None
    assert len(run.tail().steps) == 0


@pytest.mark.parametrize(
    "run_id", ["", ".", "..", "../runs", "a/b", "/etc", "x" * 65, "a b", "nul\0", ".trash", "é"]
)
def test_what_is_no_id_is_never_looked_up(store: Store, run: Run, run_id: str) -> None:
    with pytest.raises(RunNotFoundError, match="not a run id"):
        store.open(run_id)


def test_a_link_out_of_the_runs_folder_is_not_followed(store: Store, run: Run, tmp_path: Path) -> None:
    run.folder.rename(tmp_path / "elsewhere")
    (store.folder / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunNotFoundError, match="is a link out"):
        store.open("link")
    assert store.list() == []


def test_lists_are_newest_first_and_show_damaged_runs(store: Store, settings: RunSettings) -> None:
    first, second, third = (store.create(settings) for _ in range(3))
    (first.folder / "config.json").write_text("{ torn")
    (second.folder / "run.db").write_text("this is not a database, " * 100)

    summaries = {summary.id: summary for summary in store.list()}

    assert next(iter(summaries)) == third.id
    assert "not a JSON document" in (summaries[first.id].problem or "")
    assert summaries[first.id].settings is None
    assert "cannot be opened as a run database" in (summaries[second.id].problem or "")
    assert summaries[third.id].problem is None


def test_settings_of_a_later_version_are_listed_with_the_reason(store: Store, run: Run) -> None:
    path = run.folder / "config.json"
    config = json.loads(path.read_text())
    config["settings"]["temperature"] = 3
    path.write_text(json.dumps(config))

    (summary,) = store.list()

    assert "'temperature'" in (summary.problem or "")
    assert summary.state == "created"


def test_a_deleted_run_lies_in_the_trash(store: Store, run: Run) -> None:
    where = store.delete(run.id)

    assert (where / "config.json").is_file()
    assert store.list() == []
    with pytest.raises(RunNotFoundError):
        store.open(run.id)
    with pytest.raises(RunNotFoundError):
        store.delete(run.id)


def test_an_empty_store_lists_nothing_and_makes_no_folder(tmp_path: Path) -> None:
    assert Store(tmp_path / "none").list() == []
    assert not (tmp_path / "none").exists()


def test_a_result_shows_in_the_list(store: Store, run: Run) -> None:
    with Writer(run) as writer:
        writer.describe(total_steps=1)
        writer.finish("done", result={"params_after": 447_410})

    (summary,) = store.list()

    assert (summary.state, summary.result["params_after"]) == ("done", 447_410)
