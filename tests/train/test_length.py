"""Length in steps instead of epochs, and a fixed part of the training images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nasviz import data
from nasviz.data.augmentation import augmented
from nasviz.errors import CheckpointError, InvalidSettingError
from nasviz.runs import Run, RunSettings, Store, continue_run
from nasviz.settings import METHODS
from nasviz.train import open_session, work
from nasviz.train.session import make_scheduler
from tests.train.conftest import short_settings
from tests.train.resuming import ended_straight_and_resumed

PART = {"steps": 9, "train_images": 256, "batch_size": 64, "warmup_steps": 2, "projection_steps": 3}
"""Two epochs of four steps, and one step of the third."""


@pytest.mark.parametrize("name", METHODS)
def test_every_method_counts_its_phases_in_the_steps_that_it_has(name: str) -> None:
    settings = RunSettings.of(network="demonet", method=name, steps=101, train_images=640)
    schedule = settings.schedule(1437)
    assert schedule.total_steps == 101
    assert schedule.steps_per_epoch == 640 // settings.method.num_batches // 64
    assert sum(phase.num_steps for phase in settings.planned(schedule).phases(schedule)) == 101
    with pytest.raises(InvalidSettingError, match=r"train_images=640 .* at most 500"):
        settings.schedule(500)


def test_steps_and_epochs_exclude_each_other() -> None:
    by_epochs = RunSettings.of(network="demonet", epochs=8)
    with pytest.raises(InvalidSettingError, match=r"epochs=8 .*steps"):
        RunSettings.of(network="demonet", epochs=8, steps=20)
    by_steps = by_epochs.changed(steps=20)
    assert (by_steps.steps, by_steps.length) == (20, "20 steps")
    assert by_steps.changed(epochs=8) == by_epochs
    with pytest.raises(InvalidSettingError, match=r"trained_steps=20 .*steps=20"):
        by_steps.changed(trained_steps=20)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = short_settings(**PART).changed(lr=0.05)
    run = Store(tmp_path_factory.mktemp("runs")).create(settings)
    assert work(run) == "done"
    return run


def test_a_run_ends_within_an_epoch_and_is_judged_there(done: Run) -> None:
    tail = done.tail()
    assert tail.steps.epoch.tolist() == [0] * 4 + [1] * 4 + [2]
    assert [e.step for e in tail.evaluations if e.network == "full"] == [3, 7, 8]
    assert tail.steps.lr[-1] < 0.1 * tail.steps.lr[0], "the cosine ends with the run"


def test_it_is_continued_by_epochs_from_its_last_step(done: Run) -> None:
    store = Store(done.folder.parent)
    continued = continue_run(store, done, 1)
    assert (continued.settings.steps, continued.settings.trained_steps) == (13, 9)
    assert work(continued) == "done"
    assert continued.tail().steps.step.tolist() == list(range(13))
    orphan = store.create(done.settings.changed(steps=13, trained_steps=9))
    with pytest.raises(CheckpointError, match=r"9 trained steps"):
        work(orphan)


def test_it_resumes_to_the_bit(tmp_path: Path) -> None:
    straight, _ = ended_straight_and_resumed(short_settings(**PART), 6, tmp_path)
    assert straight.step == 9


def test_a_part_of_the_images_is_the_same_in_every_run_and_grows() -> None:
    split = data.load("digits", image_shape=(1, 8, 8))
    small, large = split.limited(40), split.limited(100)
    assert (len(small.train), small.facts.num_train, len(small.validation)) == (40, 40, len(split.validation))
    every = torch.arange(40)
    assert torch.equal(small.train.batch(every)[0], large.train.batch(every)[0])
    assert split.limited(0) is split
    for num_images in (10, 20, 100):
        labels = split.limited(num_images).train.batch(torch.arange(num_images))[1]
        assert labels.bincount(minlength=10).tolist() == [num_images // 10] * 10
    settings = short_settings(**PART)
    assert open_session(settings.changed(seed=3)).split.train.indices.equal(
        open_session(settings).split.train.indices
    )


def test_a_crop_of_a_part_is_that_of_its_own_index() -> None:
    """Random numbers of augmentation are drawn for the images of the part alone."""
    part = data.load("digits", image_shape=(1, 8, 8)).limited(6).train
    images = augmented(part, "resized_crop", seed=0, epoch=0)
    batch, labels = images.batch(torch.tensor([5, 0]))
    assert torch.equal(batch[1:], images.batch(torch.tensor([0]))[0])
    assert labels.tolist() == part.batch(torch.tensor([5, 0]))[1].tolist()


def test_the_rate_falls_over_the_steps_that_there_are(done: Run) -> None:
    session = open_session(done.settings)
    scheduler = make_scheduler(session.optimizer, done.settings, session.schedule)
    assert scheduler.T_max == 9
