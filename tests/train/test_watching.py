"""Training loops of the user, recorded by `nasviz.watch`: what is on record, and what reaches the loop."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import nasviz
from nasviz import models
from nasviz.errors import InvalidSettingError, RunBusyError, RunStateError
from nasviz.jobs import start_run, worker
from nasviz.jobs.tasks import Analyze
from nasviz.runs import Run, Store, Writer, continue_run
from nasviz.train import open_session, train
from nasviz.train.recorder import Recorder, read_back
from nasviz.train.watching import LoopRecorder
from tests.train.conftest import short_settings

STEPS = 12
Loop = Callable[..., Run]


@pytest.fixture(scope="module")
def traced() -> tuple[Any, Any, tuple[Any, ...]]:
    model, inputs = nasviz.zoo.create("demonet", input_shape=(1, 8, 8), width=0.25)
    net = nasviz.trace(model, inputs)
    return net, nasviz.search_space(net), (torch.randn(8, 1, 8, 8), torch.arange(8) % 10)


@pytest.fixture
def parts(traced: Any) -> tuple[Any, Any, Any, Any]:
    net, space, batch = traced
    net = copy.deepcopy(net)
    return net, space, optimizer_of(net, space), batch


def optimizer_of(net: nn.Module, space: Any, **changes: Any) -> Any:
    settings = {"lr": 0.05, "momentum": 0.9, "target_sparsity": 2, "warmup_steps": 4, "projection_steps": 4}
    return nasviz.optim.create("h2spg", net, space, **settings | changes)


def take_step(net: nn.Module, optimizer: Any, batch: Any) -> torch.Tensor:
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(net(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    return loss


def steps(rec: LoopRecorder, batch: Any, count: int = STEPS) -> Iterator[int]:
    for step in range(count):
        rec.log(loss=take_step(rec.net, rec.optimizer, batch))
        yield step


def test_a_loop_becomes_a_run_like_any_other(parts: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    losses = []
    with nasviz.watch(net, space, optimizer, runs=tmp_path, name="My loop", total_steps=STEPS) as rec:
        for step in range(STEPS):
            losses.append(take_step(net, optimizer, batch).item())
            rec.log(loss=losses[-1], accuracy=step / STEPS, examples=8)
        rec.evaluate([batch], network="full")
        sub = rec.finish()
    run = Store(tmp_path).open(rec.run.id)
    tail = run.tail()
    assert (run.state, run.labels.name, run.progress) == ("done", "My loop", 1.0)
    np.testing.assert_allclose(tail.steps.loss, losses)
    np.testing.assert_allclose(tail.steps.accuracy, np.arange(STEPS) / STEPS)
    assert tail.steps.phase.tolist() == ["warm-up"] * 4 + ["projection"] * 4 + ["training"] * 4
    assert tail.steps.zero_groups.tolist() == [0] * 7 + [2] * 5
    assert (tail.scores.steps.tolist(), tail.norms.steps.tolist()) == (list(range(4)), list(range(8)))
    assert {e.structure for e in tail.events if e.kind == "zero"} == set(optimizer.selected)
    result = run.end.result
    assert (set(result["selected"]), result["target_sparsity"]) == (set(optimizer.selected), 2)
    assert [(e.network, e.num_examples) for e in tail.evaluations] == [("full", 8), ("subnet", 0)]
    assert result["loss_subnet"] == pytest.approx(result["loss_full"], rel=1e-4)
    assert result["params_after"] < result["params_before"]
    torch.testing.assert_close(
        nasviz.load(run.folder / "subnet").eval()(batch[0]), net.eval()(batch[0]), rtol=1e-4, atol=1e-5
    )
    assert sub.report.params_after == result["params_after"]


def test_the_record_is_that_of_the_built_in_trainer(store: Store, tmp_path: Path) -> None:
    settings = short_settings()
    session = open_session(settings)
    run = store.create(settings)
    phases = settings.method.phases(session.schedule)
    with Writer(run, read_back=read_back) as writer:
        recorder = Recorder(session.optimizer, session.space, writer, phases)
        watched = nasviz.watch(session.network, session.space, session.optimizer, runs=tmp_path)
        for record in train(session):
            recorder.observe(record, is_last=session.is_finished)
            watched.log(loss=record.loss, accuracy=record.accuracy, lr=record.lr)
        recorder.tell_zero()
    watched.finish(construct=False)
    mine, its = run.tail(), watched.run.tail()
    for table in ("scores", "norms", "cosines"):
        one, other = getattr(mine, table), getattr(its, table)
        assert (one.steps.tolist(), one.structures) == (other.steps.tolist(), other.structures)
        assert len(one.steps)
        np.testing.assert_array_equal(one.values, other.values)
    for column in ("step", "phase", "loss", "accuracy", "lr", "zero_groups"):
        assert mine.steps[column].tolist() == its.steps[column].tolist()
    own = [e for e in its.events if e.kind not in ("start", "end")]
    assert [(e.step, e.kind, e.text) for e in mine.events] == [(e.step, e.kind, e.text) for e in own]


@pytest.mark.parametrize("first", [True, False], ids=["before the step", "after it"])
def test_a_loss_belongs_to_its_step_whether_it_is_logged_before_or_after(
    parts: Any, tmp_path: Path, first: bool
) -> None:
    net, space, optimizer, batch = parts
    with nasviz.watch(net, space, optimizer, runs=tmp_path) as rec:
        for step in range(5):
            if first:
                rec.log(loss=step, epoch=7)
            take_step(net, optimizer, batch)
            if not first:
                rec.log(loss=torch.tensor(float(step)))
                rec.log(epoch=7)
        rec.finish(construct=False)
    tail = rec.run.tail()
    assert (tail.steps.loss.tolist(), set(tail.steps.epoch.tolist())) == ([0, 1, 2, 3, 4], {7})


def test_the_run_holds_no_code_and_is_not_started(parts: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    with nasviz.watch(net, space, optimizer, runs=tmp_path) as rec:
        list(steps(rec, batch))
    run = rec.run
    written = json.loads((run.folder / "config.json").read_text())["settings"]
    assert set(written) == {"network", "method"}
    assert written["network"]["graph"] == "."
    assert "saliency" not in written["method"]
    (run.folder / "config.json").write_text(
        (run.folder / "config.json").read_text().replace('"graph": "."', '"graph": "/etc"')
    )
    moved = Run(run.folder)
    assert moved.settings.network.graph == str(run.folder)
    analysis = worker.analyze(Analyze(source=moved.settings.network), lambda share, words: None)
    assert [s.name for s in analysis.space.structures] == [s.name for s in space.structures]
    with pytest.raises(RunStateError, match="loop of the user"):
        start_run(moved)
    with pytest.raises(RunStateError, match="loop"):
        continue_run(Store(tmp_path), moved, 1)
    with pytest.raises(InvalidSettingError, match="only its graph is stored"):
        models.build(moved.settings.network)


def test_requests_reach_a_loop_that_asks_for_them(parts: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    rec = nasviz.watch(net, space, optimizer, runs=tmp_path)
    with rec:
        for step in steps(rec, batch):
            if step == 1:
                rec.run.request_target(1)
            if step == 2:
                rec.run.request("pause")
                threading.Thread(target=resume_when_paused, args=(rec.run,)).start()
            if step == 6:
                rec.run.request("cancel")
            if rec.wants_stop:
                break
    run = rec.run
    tail = run.tail()
    assert (run.state, step, rec.target_sparsity, len(optimizer.selected)) == ("cancelled", 6, 1, 1)
    kinds = [e.kind for e in tail.events]
    assert [kind for kind in kinds if kind in ("target", "pause", "resume", "cancel")] == [
        *("target", "pause", "resume", "cancel")
    ]
    assert (tail.facts["obeys"], tail.facts["target_sparsity"]) == (True, 1)


def resume_when_paused(run: Run) -> None:
    deadline = time.monotonic() + 60
    while run.state != "paused" and time.monotonic() < deadline:
        time.sleep(0.01)
    run.request("resume")


def test_another_k_is_refused_in_words_once_it_cannot_be_had(parts: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    with nasviz.watch(net, space, optimizer, runs=tmp_path) as rec:
        for step in steps(rec, batch):
            if step in (1, 8):
                rec.run.request_target(500 if step == 1 else 1)
            assert not rec.wants_stop
    assert (len(optimizer.selected), rec.run.state) == (2, "done")
    told = [e.text for e in rec.run.tail().events if e.kind == "warning"]
    assert [text.startswith("K stays 2") for text in told] == [True, True]


def test_a_loop_goes_on_with_its_run_after_a_crash(parts: Any, traced: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    rec = nasviz.watch(net, space, optimizer, runs=tmp_path)
    for step in steps(rec, batch, 7):
        if step == 4:
            saved = copy.deepcopy((net.state_dict(), optimizer.state_dict()))
    with pytest.raises(RunBusyError):
        nasviz.watch(net, space, optimizer, runs=tmp_path, run=rec.run.id)
    rec.close()
    assert rec.run.state == "crashed"

    again = copy.deepcopy(traced[0])
    other = optimizer_of(again, space)
    again.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    with nasviz.watch(again, space, other, runs=tmp_path, run=rec.run.id) as resumed:
        list(steps(resumed, batch, STEPS - 5))
    tail = Store(tmp_path).open(rec.run.id).tail()
    assert tail.steps.step.tolist() == list(range(STEPS))

    whole = copy.deepcopy(traced[0])
    with nasviz.watch(whole, space, optimizer_of(whole, space), runs=tmp_path) as straight:
        list(steps(straight, batch))
    expected = straight.run.tail()
    assert tail.steps.loss.tolist() == expected.steps.loss.tolist()
    np.testing.assert_array_equal(tail.norms.values, expected.norms.values)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), whole.parameters(), strict=True))


def test_an_error_in_the_loop_fails_the_run(parts: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    rec = nasviz.watch(net, space, optimizer, runs=tmp_path)
    with pytest.raises(ZeroDivisionError), rec:
        _ = [1 / (2 - step) for step in steps(rec, batch)]
    assert (rec.run.state, rec.run.end.error) == ("failed", "ZeroDivisionError: division by zero")
    take_step(net, optimizer, batch)  # its hooks are gone
    assert len(rec.run.tail().steps) == 2


def test_a_moving_average_is_cut_by_what_was_selected(parts: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    average = torch.optim.swa_utils.AveragedModel(net, use_buffers=True)
    with nasviz.watch(net, space, optimizer, runs=tmp_path) as rec:
        for _ in steps(rec, batch):
            average.update_parameters(net)
        sub = rec.finish(network=average.module)
    assert sub.report.params_after < sub.report.params_before
    nasviz.project_to_zero_(average.module, space, optimizer.selected)
    torch.testing.assert_close(
        sub.module.eval()(batch[0]), average.module.eval()(batch[0]), rtol=1e-4, atol=1e-5
    )


def test_what_cannot_be_recorded_is_refused_in_words(parts: Any, tmp_path: Path) -> None:
    net, space, optimizer, _ = parts
    plain = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(InvalidSettingError, match="base=optimizer"):
        nasviz.watch(net, space, plain, runs=tmp_path)
    with pytest.raises(InvalidSettingError, match=r"nasviz\.trace"):
        nasviz.watch(nn.Linear(2, 2), space, optimizer, runs=tmp_path)
    assert not list(tmp_path.iterdir())
    with nasviz.watch(net, space, optimizer, runs=tmp_path) as rec:
        with pytest.raises(InvalidSettingError, match=r"f1.*loss, accuracy"):
            rec.log(f1=0.5)
        with pytest.raises(InvalidSettingError, match=r"shape \(3,\)"):
            rec.log(loss=torch.zeros(3))
        with pytest.raises(InvalidSettingError, match="either batches"):
            rec.evaluate()
        rec.finish(construct=False)
        with pytest.raises(RunStateError, match="ended"):
            rec.finish()


def test_a_base_that_the_settings_do_not_know_is_left_out(parts: Any, tmp_path: Path) -> None:
    net, space, _, _ = parts
    base = torch.optim.RMSprop(net.parameters(), lr=0.01, momentum=0.5)
    chosen = {"target_sparsity": 1, "warmup_steps": 3, "projection_steps": 3}
    optimizer = nasviz.optim.create("dhspg", net, space, base=base, **chosen)
    rec = nasviz.watch(net, space, optimizer, runs=tmp_path)
    rec.stop()
    settings = rec.run.settings
    assert (settings.method.name, settings.value("target_sparsity"), rec.run.state) == (
        "dhspg",
        1,
        "cancelled",
    )
    assert "base" not in settings.flat()
