"""More epochs for a run that is done: begun exactly where it ended, resumable to the bit."""

import math
import multiprocessing

import numpy as np
import pytest

from nasviz.errors import CheckpointError, InvalidSettingError, RunStateError
from nasviz.runs import Run, Store, continue_run
from nasviz.train import work
from tests.train.children import train_until_killed
from tests.train.conftest import short_settings, timeless


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Store(tmp_path_factory.mktemp("runs")).create(
        short_settings(augmentation="shift", label_smoothing=0.1, mixup=0.2)
    )
    assert work(run) == "done"
    return run


def test_a_continued_run_keeps_every_setting(done: Run, store: Store) -> None:
    before, after = done.settings.flat(), continue_run(store, done, 2, lr=0.02).settings.flat()
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"epochs", "trained_epochs", "lr", "warmup_steps", "projection_steps", "score_every"}
    assert (after["augmentation"], after["label_smoothing"], after["mixup"]) == ("shift", 0.1, 0.2)


def test_a_continued_run_begins_where_the_first_one_ended(done: Run, store: Store) -> None:
    run = continue_run(store, done, 2, lr=0.02)
    assert (run.config["continues"], run.settings.epochs, run.settings.trained_epochs) == (done.id, 4, 2)
    assert store.list()[0].progress == 0.5
    assert work(run) == "done"

    steps, before = run.tail().steps, done.tail().steps
    assert steps.step.tolist() == list(range(44))
    assert steps.loss[:22].tolist() == before.loss.tolist()
    assert steps.epoch[22:].tolist() == [2] * 11 + [3] * 11
    assert set(steps.phase[22:]) == {"training"}
    # Half a cosine over the 22 added steps, from the learning rate that was asked for.
    course = [0.02 * (1 + math.cos(math.pi * i / 22)) / 2 for i in range(22)]
    np.testing.assert_allclose(steps.lr[22:], course, rtol=1e-6)
    assert set(steps.zero_groups[22:].tolist()) == {before.zero_groups[-1]} == {3}
    result = run.end.result
    assert result["selected"] == done.end.result["selected"]
    assert result["accuracy_subnet"] == result["accuracy_full"]
    assert [e.kind for e in run.tail().events].count("end") == 1
    assert done.tail().steps.step.tolist() == list(range(22)), "the first run stays as it was"


def test_what_was_worked_out_for_a_run_is_kept_by_the_one_that_continues_it(done: Run, store: Store) -> None:
    assert done.settings.value("score_every") == "auto"
    continued = continue_run(store, done, 4).settings
    used = done.tail().facts["settings"]
    assert continued.value("score_every") == used["score_every"] == 1
    assert (continued.value("warmup_steps"), continued.value("projection_steps")) == (8, 8)
    assert continued.planned(continued.schedule(1437)).values == used, "and not that of more epochs"


def test_a_continued_run_that_was_killed_ends_as_if_it_had_not_been(done: Run, store: Store) -> None:
    undisturbed, killed = continue_run(store, done, 1), continue_run(store, done, 1)
    work(undisturbed)
    process = multiprocessing.get_context("spawn").Process(
        target=train_until_killed, args=(str(killed.folder), 29)
    )
    process.start()
    process.join(timeout=120)
    assert killed.state == "crashed"
    work(killed)

    assert killed.tail().steps.loss.tolist() == undisturbed.tail().steps.loss.tolist()
    assert timeless(killed) == timeless(undisturbed)


def test_only_a_run_that_is_done_and_whole_is_continued(done: Run, store: Store, run: Run) -> None:
    with pytest.raises(RunStateError, match="resume it first"):
        continue_run(store, run, 1)
    with pytest.raises(InvalidSettingError, match="trained_epochs=2"):
        continue_run(store, done, 0)
    orphan = store.create(short_settings(epochs=4, trained_epochs=2))
    with pytest.raises(CheckpointError, match="is missing: let"):
        work(orphan)
    content = (done.folder / "checkpoint.pt").read_bytes()
    try:
        (done.folder / "checkpoint.pt").write_bytes(content[:-1])
        with pytest.raises(CheckpointError, match="missing or damaged"):
            continue_run(store, done, 1)
    finally:
        (done.folder / "checkpoint.pt").write_bytes(content)


@pytest.mark.parametrize("has_sum", [True, False], ids=["", "of an earlier version"])
def test_a_torn_start_is_told_in_words(done: Run, store: Store, has_sum: bool) -> None:
    torn = continue_run(store, done, 1)
    if not has_sum:
        (torn.folder / "start.json").unlink()
    path = torn.folder / "start.pt"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"start\.pt is damaged"):
        work(torn)
    assert "start.pt is damaged" in torn.end.error
