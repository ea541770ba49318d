"""No step of a run makes the host wait for its device: what is recorded is read back once per flush."""

from __future__ import annotations

import contextlib
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from nasviz.catalog import NetworkSource
from nasviz.errors import DeadNetworkError
from nasviz.nas import sparsenas
from nasviz.optim import halfspace, waiting
from nasviz.optim.halfspace import RedundantGroups
from nasviz.optim.waiting import LOOK_STEPS
from nasviz.runs import Run, RunSettings, Store, Writer
from nasviz.train import execution, open_session, train, work
from nasviz.train.recorder import Recorder, read_back
from tests.train.conftest import short_settings


@pytest.mark.parametrize("optimizer", ["h2spg", "h2spg_otov3", "dhspg", "hspg"])
def test_no_step_and_no_record_waits_for_a_value(store: Store, optimizer: str) -> None:
    # A tensor without data refuses to be read, as a GPU would make the host wait.
    k = {} if optimizer == "hspg" else {"target_sparsity": 3}
    session = open_session(short_settings(optimizer=optimizer, **k))
    session.network.to("meta")
    session.device = torch.device("meta")
    if optimizer != "hspg":
        scores = session.optimizer._scores
        scores.index.__init__(dict(zip(scores.index.ids, _owned(session), strict=True)))
        scores.final = lambda: {i: float(i) for i in scores.index.ids}
    session.optimizer._prepare()
    run = store.create(session.settings)
    with contextlib.suppress(RuntimeError), Writer(run, read_back=read_back, clock=lambda: 0.0) as writer:
        recorder = Recorder(session.optimizer, session.space, writer)
        for record in islice(train(session), 12):
            assert recorder.observe(record) == []
        assert session.optimizer.phase == "projection"
        with pytest.raises(RuntimeError, match="meta"):
            writer.flush()


def _owned(session):
    named = dict(session.network.named_parameters())
    return [[named[n] for n in s.parameter_names] for s in session.space.removable]


@pytest.fixture
def lazily(monkeypatch: pytest.MonkeyPatch) -> None:
    made = RedundantGroups.__init__

    def init(self: RedundantGroups, *arguments: object) -> None:
        made(self, *arguments)
        self.is_lazy = True

    monkeypatch.setattr(RedundantGroups, "__init__", init)


def _told(run: Run) -> list[tuple[int, str]]:
    return sorted((e.step, e.text) for e in run.tail().events if e.kind == "zero")


def test_what_becomes_zero_on_a_device_is_told_with_its_step(tmp_path: Path, monkeypatch, request) -> None:
    settings = short_settings(epsilon=0.9999, projection="halfspace")
    at_once, later = (Store(tmp_path / name).create(settings) for name in ("a", "b"))
    assert work(at_once) == "done"
    request.getfixturevalue("lazily")
    assert work(later) == "done"
    assert _told(at_once), "nothing became zero: the test says nothing"
    assert _told(at_once) == _told(later)
    columns = [run.tail().steps for run in (at_once, later)]
    np.testing.assert_array_equal(columns[0].zero_groups, columns[1].zero_groups)
    results = [run.end.result for run in (at_once, later)]
    assert results[0]["zeroed_at"] == results[1]["zeroed_at"]
    first = min(results[0]["zeroed_at"].values())
    assert columns[0].zero_groups[first - 1 : first + 1].tolist() == [0, 1]


def few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CPU be looked at as a GPU is."""
    monkeypatch.setattr(waiting, "looks_at", lambda step, device: step % LOOK_STEPS == 0)


def test_a_device_is_asked_at_few_steps_and_a_stopped_run_changes_over_at_the_same_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lazily: None
) -> None:
    few_looks(monkeypatch)
    # All that is redundant leaves its half-space in the first step of the projection, the third of the run.
    monkeypatch.setattr(halfspace, "has_left_halfspace", lambda dot, square, epsilon: dot == dot)
    lengths = {"warmup_steps": 2, "projection_steps": 17, "checkpoint_steps": 1}
    settings = short_settings(projection="halfspace", epsilon=0.9999, change_over="auto", **lengths)
    straight, stopped = (Store(tmp_path / name).create(settings) for name in ("a", "b"))
    assert work(straight) == "done"

    def interrupted(session, gauge):
        for record in train(session, gauge):
            if record.step == 4:  # everything is zero, and the host does not know
                stopped.request("cancel")
            yield record

    with monkeypatch.context() as patch:
        patch.setattr(execution, "train", interrupted)
        assert work(stopped) == "cancelled"
    assert work(stopped) == "done"
    ends = [run.end.result for run in (straight, stopped)]
    assert [end["changed_at"] for end in ends] == [LOOK_STEPS] * 2
    assert ends[0]["zeroed_at"] == ends[1]["zeroed_at"] == dict.fromkeys(ends[0]["zeroed_at"], 2)
    weights = [(run.folder / "subnet" / "weights.safetensors").read_bytes() for run in (straight, stopped)]
    assert weights[0] == weights[1]


def test_switches_are_looked_at_in_few_steps_too(monkeypatch: pytest.MonkeyPatch) -> None:
    few_looks(monkeypatch)
    looks = []
    original = sparsenas.SparseNAS._look
    monkeypatch.setattr(
        sparsenas.SparseNAS, "_look", lambda self: (looks.append(self.num_steps), original(self))
    )
    own = {"warmup_steps": 1, "architecture_lr": 0.2, "penalty_step": 0.3, "search_steps": 15}
    session = open_session(short_settings(optimizer="sparsenas", epochs=4, target_zeros=0.3, **own))
    news = [session.optimizer.news().facts for _ in train(session)]
    assert looks
    assert all(step % LOOK_STEPS == 0 for step in looks)
    assert session.optimizer.ended_at in (looks[-1], 16)
    assert next(step for step, found in enumerate(news, 1) if found) == LOOK_STEPS


def sparse_settings(**changes) -> RunSettings:
    network = NetworkSource("demonet", input_shape=(1, 8, 8), settings={"width": 0.125})
    own = {
        "optimizer": "sparsenas",
        "network": network,
        "batch_size": 64,
        "train_images": 128,
        "eval_every_epochs": 9,
    }
    return short_settings(**own | changes)


def test_a_network_that_dies_between_two_looks_is_found_dead_at_the_last_step(monkeypatch) -> None:
    few_looks(monkeypatch)
    own = {"steps": 15, "warmup_steps": 8, "penalty_step": 0.9, "architecture_lr": 0.3, "target_zeros": 0}
    session = open_session(sparse_settings(**own))
    with pytest.raises(DeadNetworkError, match="at step 14"):
        [session.optimizer.news() for _ in train(session)]


def test_a_search_that_ends_between_two_looks_changes_over_there(store: Store, monkeypatch) -> None:
    few_looks(monkeypatch)
    own = {"warmup_steps": 1, "search_steps": 11, "penalty_step": 0.1, "target_zeros": 0.5}
    run = store.create(sparse_settings(**own, steps=15, change_over="auto"))
    assert work(run) == "done"
    assert run.end.result["changed_at"] == 12
    assert run.end.result["sparsity"]["ended_at"] == 12
