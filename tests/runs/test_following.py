"""Whoever looks at a run again and again sees what a first look would show, and reads only what is new."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from nasviz.errors import RunNotFoundError
from nasviz.runs import Evaluation, Run, Tail, Writer
from nasviz.runs.records import STEP_TYPE
from nasviz.runs.tail import Follower
from tests.runs.conftest import wait_until
from tests.runs.run_writing import write


def assert_same(one: Tail, other: Tail) -> None:
    for name in STEP_TYPE.names:
        np.testing.assert_array_equal(one.steps[name], other.steps[name], name)
    for name in ("scores", "norms", "cosines"):
        found, expected = getattr(one, name), getattr(other, name)
        np.testing.assert_array_equal(found.steps, expected.steps)
        np.testing.assert_array_equal(found.values, expected.values)
        assert found.structures == expected.structures
    for name in ("evaluations", "events", "last_step", "total_steps", "facts"):
        assert getattr(one, name) == getattr(other, name)


def test_every_look_shows_what_a_first_one_would(run: Run) -> None:
    follower = Follower(run.folder, 1000)
    assert_same(follower.read(), run.tail())
    with Writer(run) as writer:
        writer.describe(total_steps=60)
        for step in range(60):
            write(writer, step)
            if step % 7 == 0:
                writer.norms(step, (1, 2), (step, step))
                writer.cosines(step, (2,), (0.5,))
                writer.evaluation(Evaluation(step, 0, "full", 1.0, 0.5, 10))
            if step % 5 == 0:
                writer.flush()
                assert_same(follower.read(), run.tail())
    assert_same(follower.read(), run.tail())
    assert len(follower.read().steps) == 60


@pytest.mark.parametrize("num_again", [3, 40], ids=["to an earlier step", "past the last step"])
def test_what_a_worker_does_again_from_its_checkpoint_is_read_again(run: Run, num_again: int) -> None:
    follower = Follower(run.folder, 1000)
    with Writer(run) as writer:
        for step in range(20):
            write(writer, step)
    assert follower.read().last_step == 19
    with Writer(run) as writer:
        writer.rewind(9)
        writer.event(9, "resume", "from checkpoint.pt")
        for step in range(10, 10 + num_again):
            writer.norms(step, (1,), (1.0,))
            write(writer, step)
        writer.flush()
        assert_same(follower.read(), run.tail())


def test_of_a_long_run_every_nth_row_is_kept_and_the_last_one(run: Run) -> None:
    follower = Follower(run.folder, 10)
    with Writer(run) as writer:
        for step in range(200):
            write(writer, step)
            writer.flush()
            tail = follower.read()
            assert tail.steps.step[-1] == tail.last_step == step
            assert len(tail.steps) <= 21
            assert len(set(np.diff(tail.steps.step[:-1]))) <= 1
            assert len(tail.scores.steps) == step + 1
    assert_same(tail, run.tail(every=16))


def test_nothing_is_read_where_nothing_was_added_and_a_run_of_the_same_name_is_another(
    run: Run, tmp_path: Path
) -> None:
    follower = Follower(run.folder, 1000)
    with Writer(run) as writer:
        write(writer, 0)
    wait_until(lambda: follower.read() is follower.read())
    shutil.move(run.folder, tmp_path / "old")
    with pytest.raises(RunNotFoundError):
        follower.read()
    run.folder.mkdir()
    shutil.copy(tmp_path / "old" / "config.json", run.folder)
    with Writer(Run(run.folder)) as writer:
        write(writer, 0)
        write(writer, 1)
    assert_same(follower.read(), run.tail())
