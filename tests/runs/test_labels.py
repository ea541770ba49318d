"""Names, tags and notes of runs; deleting and bringing back."""

import pytest

from nasviz.errors import InvalidSettingError, RunNotFoundError, RunStateError
from nasviz.runs import Labels, Run, RunSettings, Store


def test_what_people_write_on_a_run_is_in_its_summary(run: Run, store: Store) -> None:
    assert run.labels == Labels()
    run.write_labels(Labels("Baseline", ("paper", "seed 0"), "first line\nsecond line"))
    (summary,) = store.list()
    assert summary.labels == Labels("Baseline", ("paper", "seed 0"), "first line\nsecond line")


@pytest.mark.parametrize(
    "document", [{"name": "two\nlines"}, {"name": "x" * 121}, {"tags": ["a"] * 21}, {"tags": 3}, {"note": 5}]
)
def test_labels_that_are_none_become_a_problem_of_the_summary(
    run: Run, store: Store, document: dict[str, object]
) -> None:
    import json

    (run.folder / "labels.json").write_text(json.dumps(document))
    with pytest.raises(InvalidSettingError):
        _ = run.labels
    assert store.list()[0].problem


def test_a_deleted_run_comes_back_or_is_erased(store: Store, settings: RunSettings) -> None:
    run = store.create(settings)
    store.delete(run.id)
    assert ([s.id for s in store.list()], [s.id for s in store.trash()]) == ([], [run.id])

    assert store.restore(run.id).settings == settings
    assert ([s.id for s in store.list()], store.trash()) == ([run.id], [])

    store.delete(run.id)
    again = store.create(settings, run_id=run.id)
    with pytest.raises(RunStateError, match="already exists"):
        store.restore(run.id)
    second = store.delete(again.id).name
    assert second.startswith(f"{run.id}.")
    store.erase(run.id)
    assert store.restore(second).id == run.id
    assert store.trash() == []


@pytest.mark.parametrize("name", ["..", "../x", "nothing", ".sweeps", "a.b"])
def test_nothing_outside_of_the_trash_is_brought_back_or_erased(store: Store, run: Run, name: str) -> None:
    with pytest.raises(RunNotFoundError):
        store.restore(name)
    with pytest.raises(RunNotFoundError):
        store.erase(name)
    assert run.folder.exists()


def test_two_runs_cannot_have_one_id(store: Store, run: Run, settings: RunSettings) -> None:
    with pytest.raises(RunStateError, match="already exists"):
        store.create(settings, run_id=run.id)
    with pytest.raises(RunNotFoundError, match="is not a run id"):
        store.create(settings, run_id="a/b")
    assert [path.name for path in store.folder.iterdir()] == [run.id]
