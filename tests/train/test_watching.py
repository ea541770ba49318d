"""Training loops of the user, recorded by `nasviz.watch`: what is on record, and what reaches the loop."""

from __future__ import annotations

import copy
import json
import sqlite3
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
from nasviz.cli.reports import result_lines
from nasviz.errors import (
    CheckpointError,
    ConstructionError,
    InvalidSettingError,
    NasvizWarning,
    RunBusyError,
    RunStateError,
    StorageError,
    TrainingError,
)
from nasviz.integrations.recording import Recording
from nasviz.jobs import start_run, worker
from nasviz.jobs.tasks import Analyze
from nasviz.optim.create import OPTIMIZERS
from nasviz.runs import Run, Store, SweepSettings, Writer, continue_run
from nasviz.runs.requests import forget_request, read_target, write_target
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


def test_a_loss_belongs_to_the_latest_step(parts: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    loss = torch.zeros(())  # accumulated in place
    with nasviz.watch(net, space, optimizer, runs=tmp_path) as rec:
        for step in range(6):
            if step in (0, 5):
                rec.log(loss=-1.0)  # of a micro-batch without a step
            if step != 1:  # as a GradScaler skips a step
                take_step(net, optimizer, batch)
            if step == 2:
                rec.evaluate([batch])
            if step == 3:
                rec.run.request("pause")
                threading.Thread(target=resume_when_paused, args=(rec.run,)).start()
                assert not rec.wants_stop
            rec.log(loss=loss, epoch=7, examples=1000 if step == 4 else 1)
            loss += 1
        rec.finish(construct=False)
    run = rec.run
    tail = run.tail()
    assert (tail.steps.loss.tolist(), set(tail.steps.epoch.tolist())) == ([0, 2, 3, 4, 5], {7})
    assert int(tail.steps.examples_per_second.argmax()) in (3, 4)
    assert tail.steps.examples_per_second[2] < tail.steps.examples_per_second[3]
    assert any("not constructed" in line for line in result_lines(run))


def test_what_came_before_a_checkpoint_is_on_disk(parts: Any, traced: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    rec = nasviz.watch(net, space, optimizer, runs=tmp_path)
    for step in steps(rec, batch, 9):
        if step == 8:
            saved = copy.deepcopy((net.state_dict(), optimizer.state_dict()))
    found = rec.run.tail()  # what another process reads now is what a kill leaves
    assert found.steps.step.tolist() == list(range(9))
    assert found.steps.loss[8] == found.steps.loss[8]
    assert {e.structure for e in found.events if e.kind == "zero"} == set(optimizer.selected)
    rec.close()
    with sqlite3.connect(rec.run.folder / "run.db") as connection:
        connection.execute("DELETE FROM events WHERE kind = 'zero'")  # a record that lost them
    connection.close()
    again = copy.deepcopy(traced[0])
    other = optimizer_of(again, space)
    again.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    with nasviz.watch(again, space, other, runs=tmp_path, run=rec.run.id) as resumed:
        list(steps(resumed, batch, 1))
    told = [(e.structure, e.step) for e in resumed.run.tail().events if e.kind == "zero"]
    assert dict(told) == other.zeroed_at
    assert len(told) == 2


def test_cosines_are_those_of_the_gradient_of_a_closure(parts: Any, traced: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    with nasviz.watch(net, space, optimizer, runs=tmp_path) as rec:
        list(steps(rec, batch, 6))
    other = copy.deepcopy(traced[0])
    second = optimizer_of(other, space)

    def closure() -> torch.Tensor:
        second.zero_grad()
        loss = nn.functional.cross_entropy(other(batch[0]), batch[1])
        loss.backward()
        return loss

    with nasviz.watch(other, space, second, runs=tmp_path) as its:
        for _ in range(6):
            second.step(closure)
    mine, found = rec.run.tail().cosines, its.run.tail().cosines
    assert mine.steps.tolist() == found.steps.tolist() != []
    np.testing.assert_array_equal(mine.values, found.values)


def test_weights_that_were_replaced_are_not_cut(parts: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    best = copy.deepcopy(net.state_dict())
    rec = nasviz.watch(net, space, optimizer, runs=tmp_path)
    list(steps(rec, batch))
    net.load_state_dict(best)
    with pytest.raises(ConstructionError, match="replaced"):
        rec.finish()
    assert rec.run.state == "failed"


def test_modes_and_compilation_stay_as_they_were(parts: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    norm = next(m for m in net.modules() if isinstance(m, nn.BatchNorm2d)).eval()
    compiled = torch.compile(net, backend="eager")
    with nasviz.watch(compiled, space, optimizer, runs=tmp_path) as rec:
        assert rec.net is net
        list(steps(rec, batch))
        rec.evaluate([batch])
        assert (norm.training, net.training) == (False, True)
        assert rec.finish() is not None
    assert (norm.training, net.training) == (False, True)
    assert any("accuracy" in line for line in result_lines(rec.run))


def test_a_method_that_prunes_by_accuracy_waits_for_validation_data(parts: Any, tmp_path: Path) -> None:
    net, space, _, batch = parts
    optimizer = nasviz.optim.create("gsparsity", net, space, lr=0.01, projection_steps=2)
    with pytest.warns(NasvizWarning, match="validation"):
        rec = nasviz.watch(net, space, optimizer, runs=tmp_path)
    assert [event.kind for event in rec.run.tail().events] == ["start", "warning"]
    penalty = optimizer.penalty().item()
    list(steps(rec, batch, 2))
    with pytest.raises(TrainingError, match="validation"):
        rec.finish()
    assert rec.run.state == "running"
    rec.evaluate([batch])
    rec.finish()
    assert rec.run.state == "done"
    assert rec.run.tail().steps.penalty[0] == pytest.approx(penalty) != 0
    again = nasviz.watch(net, space, optimizer_of(net, space), runs=tmp_path, validation=[batch])
    list(steps(again, batch))
    again.finish()
    assert [e.network for e in again.run.tail().evaluations] == ["subnet"]


def test_a_loop_told_to_stop_is_cancelled_by_finish(parts: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    with nasviz.watch(net, space, optimizer, runs=tmp_path) as rec:
        list(steps(rec, batch, 2))
        rec.run.request_target(1)
        rec.run.request("cancel")
        rec.run.request_target(3)
        assert rec.wants_stop
        assert rec.finish() is None
    assert (rec.run.state, rec.target_sparsity) == ("cancelled", 3)
    for ended in (lambda: rec.wants_stop, lambda: rec.evaluate([batch]), lambda: rec.log(loss=1.0)):
        with pytest.raises(RunStateError, match="ended"):
            ended()


def test_another_k_is_answered_within_a_pause(parts: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    with nasviz.watch(net, space, optimizer, runs=tmp_path) as rec:
        list(steps(rec, batch, 1))
        rec.run.request("pause")

        def change() -> None:
            wait_until(lambda: rec.run.state == "paused")
            rec.run.request_target(1)
            wait_until(lambda: rec.target_sparsity == 1)
            resume_when_paused(rec.run)

        threading.Thread(target=change).start()
        assert not rec.wants_stop
        rec.finish(construct=False)
    kinds = [e.kind for e in rec.run.tail().events]
    assert [kind for kind in kinds if kind in ("target", "pause", "resume")] == ["pause", "target", "resume"]


def test_several_processes_agree_on_requests_every_eighth_step(
    parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, space, optimizer, batch = parts
    asked = []
    monkeypatch.setattr("nasviz.train.watching._is_distributed", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "broadcast", lambda number, src: asked.append(optimizer.num_steps))
    with nasviz.watch(net, space, optimizer, runs=tmp_path) as rec:
        for step in steps(rec, batch):
            if step == 3:
                rec.run.request("cancel")
            if rec.wants_stop:
                break
        assert rec.wants_stop
    assert (asked, step, rec.run.state) == ([1, 9], 8, "cancelled")


def test_a_callback_tells_why_it_begins_another_run(parts: Any, tmp_path: Path) -> None:
    net, space, optimizer, _ = parts
    recording = Recording(net, space, runs=tmp_path, construct=False)
    recording.run_id = "gone"
    with pytest.warns(NasvizWarning, match="gone"):
        rec = recording.begin(optimizer)
    recording.end()
    assert (rec.run.state, recording.run_id == rec.run_id) == ("done", True)
    settings = rec.run.settings
    with pytest.raises(InvalidSettingError, match="only its own code"):
        SweepSettings(settings)


def test_only_the_answered_target_is_forgotten(tmp_path: Path) -> None:
    write_target(tmp_path, 1)
    first = read_target(tmp_path)
    write_target(tmp_path, 1)
    forget_request(tmp_path, only=first)
    second = read_target(tmp_path)
    assert second is not None
    assert second != first
    forget_request(tmp_path, only=second)
    assert read_target(tmp_path) is None


def test_a_changed_k_is_that_of_the_checkpoint(parts: Any, traced: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    early = copy.deepcopy(optimizer.state_dict())
    rec = nasviz.watch(net, space, optimizer, runs=tmp_path)
    for step in steps(rec, batch, 3):
        if step == 1:
            rec.run.request_target(1)
            assert not rec.wants_stop
    saved = copy.deepcopy((net.state_dict(), optimizer.state_dict()))
    rec.run.request("pause")  # never answered
    rec.close()
    again = copy.deepcopy(traced[0])
    other = optimizer_of(again, space)
    again.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    with nasviz.watch(again, space, other, runs=tmp_path, run=rec.run.id) as resumed:
        assert not resumed.wants_stop
        list(steps(resumed, batch, STEPS - 3))
    assert (len(other.selected), resumed.run.end.result["target_sparsity"]) == (1, 1)
    assert resumed.run.tail().facts["target_sparsity"] == 1
    optimizer.load_state_dict(early)  # back to before the change
    assert optimizer.asked["target_sparsity"] == 2
    with pytest.raises(CheckpointError, match="target_sparsity"):
        optimizer_of(again, space, target_sparsity=3).load_state_dict(early)


def test_a_run_goes_on_only_with_its_own_method_and_space(parts: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    rec = nasviz.watch(net, space, optimizer, runs=tmp_path)
    list(steps(rec, batch, 2))
    rec.close()
    other = optimizer_of(net, space)
    other.method = "dhspg"
    with pytest.raises(RunStateError, match="method h2spg"):
        nasviz.watch(net, space, other, runs=tmp_path, run=rec.run.id)
    narrow = nasviz.search_space(net, protect=[space.structures[0].name])
    with pytest.raises(RunStateError, match="search space"):
        nasviz.watch(net, narrow, optimizer_of(net, narrow), runs=tmp_path, run=rec.run.id)
    assert (rec.run.state, len(rec.run.tail().steps)) == ("crashed", 2)


def test_a_refused_begin_leaves_nothing_behind(
    parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, space, optimizer, batch = parts

    def refuse(*args: object, **kwargs: object) -> None:
        raise StorageError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("nasviz.train.watching.record_environment", refuse)
        with pytest.raises(StorageError):
            nasviz.watch(net, space, optimizer, runs=tmp_path)
    (summary,) = Store(tmp_path).list()
    run = Store(tmp_path).open(summary.id)
    assert (run.state, run.is_active) == ("failed", False)
    take_step(net, optimizer, batch)  # no hook is left
    rec = nasviz.watch(net, space, optimizer, runs=tmp_path)
    monkeypatch.setattr(Writer, "finish", refuse)
    with pytest.raises(StorageError):
        rec.stop()
    assert not rec.run.is_active
    take_step(net, optimizer, batch)


def test_a_recorder_that_fails_lets_the_training_go_on(
    parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, space, optimizer, batch = parts
    with nasviz.watch(net, space, optimizer, runs=tmp_path) as rec:
        list(steps(rec, batch, 2))

        def refuse(self: Writer, *args: object) -> None:
            raise StorageError("no space left")

        monkeypatch.setattr(Writer, "step", refuse)
        with pytest.warns(NasvizWarning, match="no space left"):
            take_step(net, optimizer, batch)
        list(steps(rec, batch, 7))
        assert not rec.wants_stop
        assert rec.evaluate([batch]).loss > 0
        with pytest.raises(RunStateError, match="no space left"):
            rec.finish()
    assert len(optimizer.zeroed_by) == 2
    assert not rec.run.is_active


def test_a_number_of_another_device_is_read_back() -> None:
    # The device "meta" holds no numbers, so only what it does to the others can be seen.
    class Far(torch.Tensor):
        device = torch.device("cpu", 1)

    values = [torch.tensor(1.0), torch.tensor(2.0).as_subclass(Far), torch.tensor([3.0, 4.0])]
    assert [array.tolist() for array in read_back(values)] == [[1], [2], [3, 4]]


def test_an_evaluation_is_of_the_network_that_it_names(parts: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = parts
    average = copy.deepcopy(net)
    with nasviz.watch(net, space, optimizer, runs=tmp_path) as rec:
        for given, words in (
            ({"batches": [batch], "network": "subnet"}, "sub-network"),
            ({"loss": 1.0, "network": "ema"}, "ema"),
            ({"batches": []}, "without an example"),
        ):
            with pytest.raises(InvalidSettingError, match=words):
                rec.evaluate(**given)
        list(steps(rec, batch))
        measured = rec.evaluate([batch])
        rec.finish(network=average)
    result = rec.run.end.result
    assert result["loss_full"] != pytest.approx(measured.loss)
    with torch.no_grad():
        expected = nn.functional.cross_entropy(average.eval()(batch[0]), batch[1]).item()
    assert result["loss_full"] == pytest.approx(expected, rel=1e-4)


def test_a_class_is_recorded_as_its_own_method(traced: Any) -> None:
    net = copy.deepcopy(traced[0])
    for method, kind in OPTIMIZERS.items():
        own = {} if method == "hspg" else {"target_sparsity": 1, "projection_steps": 2}
        assert nasviz.optim.create(kind, net, traced[1], lr=0.1, warmup_steps=2, **own).method == method


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


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)


def resume_when_paused(run: Run) -> None:
    wait_until(lambda: run.state == "paused")
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
    assert len(rec.run.tail().steps) == 3


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
