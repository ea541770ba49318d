"""A run from start to end: what is recorded, what is written, how it is paused, and how it fails."""

import hashlib
import itertools
import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from nasviz import models, subnet
from nasviz.catalog import NetworkSource
from nasviz.data import load
from nasviz.errors import InvalidSparsityError, NonFiniteLossError, RunStateError
from nasviz.graph import SearchSpace
from nasviz.runs import Run, Store, Writer
from nasviz.settings import METHODS
from nasviz.train import Progress, evaluate, open_session, train, work
from nasviz.train.recorder import Recorder, read_back
from tests.runs.conftest import wait_until
from tests.train.conftest import short_settings, timeless

GSPARSITY = {"optimizer": "gsparsity", "mu": 2.0}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Store(tmp_path_factory.mktemp("runs")).create(short_settings())
    assert work(run) == "done"
    return run


def test_everything_needed_to_repeat_it_is_on_record(done: Run) -> None:
    (start,) = done.environments

    assert done.settings == short_settings()
    assert {"torch", "numpy", "scikit-learn"} <= start["packages"].keys()
    assert (start["device"], start["seed"], start["threads"]) == ("cpu", 0, 1)
    space = SearchSpace.from_json(json.loads((done.folder / "space.json").read_text()))
    assert len(space.removable) == 6
    assert max(start["parity"].values()) < 1e-5
    code = Path(models.demonet.__file__).read_bytes()
    assert start["sources"]["nasviz.models.demonet"] == hashlib.sha256(code).hexdigest()
    assert (start["weights"], start["git"]) == (None, None)


def test_the_revision_of_a_users_code_is_on_record(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "mine_in_git.py"
    file.write_text("from torch import nn\n\nnet = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n")
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    for arguments in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "first")):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    head = subprocess.run(["git", "-C", tmp_path, "rev-parse", "HEAD"], capture_output=True, check=True)
    source = NetworkSource("mine_in_git:net", trust=(str(tmp_path),))
    run = store.create(short_settings(network=source, target_sparsity=0))
    file.write_text(file.read_text() + "# not committed\n")

    assert work(run) == "done"

    (start,) = run.environments
    assert start["git"] == {"revision": head.stdout.decode().strip(), "is_changed": True}
    assert start["sources"]["mine_in_git"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_every_step_score_and_norm_is_on_record(done: Run) -> None:
    tail = done.tail()

    assert tail.steps.step.tolist() == list(range(22))
    assert tail.scores.steps.tolist() == list(range(8))
    assert tail.norms.steps.tolist() == tail.cosines.steps.tolist() == list(range(16))
    assert tail.scores.structures == tail.norms.structures
    assert np.isfinite(tail.scores.values).all()
    gone = [tail.norms.structures.index(i) for i in done.end.result["selected"]]
    assert (tail.norms.values[-1, gone] == 0).all()
    assert (np.delete(tail.norms.values[-1], gone) > 0).all()
    assert tail.facts["warmup_steps"] == tail.facts["projection_steps"] == 8
    assert tail.facts["max_sparsity"] == 4


@pytest.mark.parametrize("changes", [{}, {"slim": 0.3}, GSPARSITY], ids=["h2spg", "slim", "gsparsity"])
def test_cosines_on_record_are_those_of_weights_and_gradient_before_each_step(
    store: Store, changes: dict[str, Any]
) -> None:
    run = store.create(short_settings(**changes))
    session = open_session(run.settings)
    groups = {
        s.id: [session.network.get_parameter(name) for name in s.parameter_names]
        for s in session.space.structures
        if s.id in session.optimizer.structure_ids
    }
    expected, owned = [], groups.values()

    def look(*_: object) -> None:
        flat = [[torch.cat([t.flatten() for t in ts]) for ts in (xs, [x.grad for x in xs])] for xs in owned]
        expected.append([cosine_similarity(x, grad, 0).item() for x, grad in flat])

    session.optimizer.register_step_pre_hook(look)
    with Writer(run, read_back=read_back) as writer:
        recorder = Recorder(session.optimizer, session.space, writer)
        for record in itertools.islice(train(session), 5):
            recorder.observe(record)
    found = run.tail().cosines
    assert (found.steps.tolist(), found.structures) == (list(range(5)), tuple(groups))
    np.testing.assert_allclose(found.values, np.array(expected), rtol=1e-3, atol=1e-6)
    assert np.abs(found.values).max() > 1e-3


def test_the_sub_network_answers_like_the_full_one(done: Run) -> None:
    result = done.end.result
    by_network = {(e.network, e.epoch): e for e in done.tail().evaluations}

    assert result["accuracy_subnet"] == result["accuracy_full"] == by_network["full", 1].accuracy
    assert result["loss_subnet"] == pytest.approx(result["loss_full"], rel=1e-5)
    assert result["max_relative_error"] < 1e-5
    assert result["params_after"] < result["params_before"]
    assert len(result["selected"]) == result["target_sparsity"] == 3
    assert set(by_network) == {("full", 0), ("full", 1), ("subnet", 1)}
    files = {path.name for path in (done.folder / "subnet").iterdir()}
    assert {"graph.json", "weights.safetensors", "model.py", "report.json"} <= files


def test_the_search_cost_is_the_time_of_warm_up_and_projection(done: Run) -> None:
    steps = done.tail().steps

    assert done.end.result["search_seconds"] == pytest.approx(steps.seconds[:16].sum())
    assert done.end.result["search_seconds"] < steps.seconds.sum()


def test_the_saved_sub_network_is_as_good_as_the_report_says(done: Run) -> None:
    module = subnet.load(done.folder / "subnet")
    images = load("digits", image_shape=(1, 8, 8)).validation
    loss, accuracy, top5, _ = evaluate(module, images, device=torch.device("cpu"))
    assert top5 == done.end.result["top5_subnet"]

    assert accuracy == done.end.result["accuracy_subnet"]
    assert loss == pytest.approx(done.end.result["loss_subnet"], rel=1e-6)
    num_parameters = sum(parameter.numel() for parameter in module.parameters())
    assert num_parameters == done.end.result["params_after"]


def test_what_happened_is_told_in_words(done: Run) -> None:
    events = done.tail().events
    kinds = [event.kind for event in events]

    assert kinds[0] == "start"
    assert kinds.count("zero") == kinds.count("redundant") == 3
    assert kinds[-1] == "end"
    (selected,) = (event for event in events if event.kind == "selected")
    assert selected.step == 7
    assert selected.text.startswith("warm-up ended, selected: ")
    zero = [event for event in events if event.kind == "zero"]
    assert all("became zero (" in e.text and e.structure is not None for e in zero)


def test_a_candidate_that_had_to_stay_is_told_with_the_reason(store: Store) -> None:
    run = store.create(short_settings(target_sparsity=4, warmup_steps=2, projection_steps=2, epochs=1))
    work(run)
    kept = [event for event in run.tail().events if event.kind == "kept"]

    assert run.end.result["target_sparsity"] == len(run.end.result["selected"]) == 4
    assert kept
    assert all("has the lowest score left" in e.text and "kept: " in e.text for e in kept)
    assert not {e.structure for e in kept} & set(run.end.result["selected"])


def test_the_last_iterate_is_the_result_and_the_best_is_reported(done: Run) -> None:
    assert done.end is not None
    assert not (done.folder / "best.pt").exists()
    assert (done.end.result["result"], done.end.result["result_step"]) == ("final", 21)
    assert done.end.result["best_step"] == 21
    assert done.end.result["best_accuracy"] == done.end.result["accuracy_full"]


def test_a_run_that_is_done_is_not_done_again(done: Run) -> None:
    with pytest.raises(RunStateError, match="is done"):
        work(done)


# By itself, HSPG scales its penalty until something goes, however short the run is.
WEAK = {"hspg": {"regularization": 1e-3}}
HALF_SPACE = [n for n, method in METHODS.items() if method.implementation == "nasviz.optim.create"][1:]


@pytest.mark.parametrize(
    "changes", [{"periods": 2}, *({"optimizer": name, **WEAK.get(name, {})} for name in HALF_SPACE)]
)
def test_every_optimizer_runs_to_its_end(store: Store, changes: dict[str, Any]) -> None:
    has_target = METHODS[changes.get("optimizer", "h2spg")].has("target_sparsity")
    num_removed = 2 if has_target else 0
    run = store.create(short_settings(**{"target_sparsity": 2} if has_target else {}, **changes))

    assert work(run) == "done"
    tail, result = run.tail(), run.end.result
    assert len(result["selected"]) == num_removed
    assert result["accuracy_subnet"] == result["accuracy_full"]
    told = [event.structure for event in tail.events if event.kind == "redundant"]
    assert sorted(told) == sorted(result["selected"])
    assert sorted(e.structure for e in tail.events if e.kind == "zero") == sorted(
        map(int, result["zeroed_by"])
    )


def test_nothing_to_remove_trains_and_gives_the_same_network_back(store: Store) -> None:
    run = store.create(short_settings(target_sparsity=0, epochs=1, warmup_steps=2, projection_steps=2))

    assert work(run) == "done"
    result = run.end.result
    assert result["params_after"] == result["params_before"]
    assert result["accuracy_subnet"] == result["accuracy_full"]


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(store: Store) -> None:
    # lr * weight_decay = 100,000 multiplies the weights by that at each step until they overflow.
    wild = short_settings(lr=1000.0, weight_decay=100.0, warmup_steps=2, checkpoint_steps=2)
    run = store.create(wild)
    with pytest.raises(NonFiniteLossError):
        work(run)

    assert run.state == "failed"
    assert "checkpoint is kept" in (run.end.error or "")
    saved = torch.load(run.folder / "checkpoint.pt", weights_only=True)
    assert 0 < saved["step"] < 22
    assert all(torch.isfinite(t).all() for n, t in saved["network"].items() if n.endswith("weight"))


def test_settings_that_cannot_be_carried_out_end_the_run_with_the_reason(store: Store) -> None:
    run = store.create(short_settings(target_sparsity=5))
    with pytest.raises(InvalidSparsityError):
        work(run)

    assert run.state == "failed"
    assert "only 4 can go" in (run.end.error or "")


def test_a_paused_run_stands_still_and_ends_as_if_it_had_not(store: Store, done: Run) -> None:
    run = store.create(short_settings())
    stood: list[int] = []

    def pause_and_go_on() -> None:
        wait_until(lambda: bool(run.environments))  # the worker has swept its folder by then
        run.request("pause")
        wait_until(lambda: run.state == "paused")
        stood.append(run.tail().last_step)
        stood.append(run.tail().last_step)
        run.request("resume")

    person = threading.Thread(target=pause_and_go_on)
    person.start()
    assert work(run) == "done"
    person.join(timeout=10)

    assert stood[0] == stood[1] < 21
    assert run.tail().steps.loss.tolist() == done.tail().steps.loss.tolist()
    assert timeless(run) == timeless(done)
    assert [e.kind for e in run.tail().events].count("pause") == 1


def test_a_cancelled_run_goes_on_where_it_was_cancelled(store: Store, done: Run) -> None:
    run = store.create(short_settings().changed(checkpoint_steps=1000))
    heard: list[Progress] = []

    def cancel_at_first_evaluation(progress: Progress) -> None:
        heard.append(progress)
        if progress.accuracy is not None and len(run.environments) == 1:
            run.request("cancel")

    assert work(run, cancel_at_first_evaluation) == "cancelled"
    assert run.state == "cancelled"
    assert run.tail().last_step == 10
    assert work(run, heard.append) == "done"

    assert run.tail().steps.loss.tolist() == done.tail().steps.loss.tolist()
    assert (heard[-1].step, heard[-1].total_steps, heard[-1].phase) == (22, 22, "construction")


def test_runs_in_a_kept_sub_network_go_on_where_their_folder_was_copied_to(
    store: Store, done: Run, tmp_path: Path
) -> None:
    cut = NetworkSource("demonet_subnet", subnet=str(done.folder / "subnet"))
    chosen = done.settings.changed(network=cut, target_sparsity=0)
    straight, stopped = store.create(chosen), store.create(chosen)
    assert work(straight) == "done"

    def cancel(progress: Progress) -> None:
        if progress.accuracy is not None:
            stopped.request("cancel")

    assert work(stopped, cancel) == "cancelled"
    assert str(tmp_path) not in (stopped.folder / "config.json").read_text()
    shutil.copytree(store.folder, tmp_path / "another disk" / "runs")
    store.folder.rename(tmp_path / "gone")

    copied = Store(tmp_path / "another disk" / "runs").open(stopped.id)
    assert Path(copied.settings.network.subnet).is_relative_to(tmp_path / "another disk")
    assert work(copied) == "done"
    gone = Store(tmp_path / "gone").open(straight.id)
    assert copied.tail().steps.loss.tolist() == gone.tail().steps.loss.tolist()


def test_a_cancel_during_an_evaluation_loses_no_step(store: Store, done: Run) -> None:
    run = store.create(short_settings().changed(checkpoint_steps=1000))

    def cancel_as_the_epoch_ends(progress: Progress) -> None:
        if progress.step == 11 and progress.accuracy is None:
            run.request("cancel")

    assert work(run, cancel_as_the_epoch_ends) == "cancelled"
    assert (run.folder / "checkpoint.pt").is_file()
    assert not run.tail().evaluations
    assert work(run) == "done"

    assert timeless(run) == timeless(done)
    assert run.tail().evaluations == done.tail().evaluations


def test_a_run_that_slims_records_what_it_cuts(store: Store) -> None:
    run = store.create(short_settings(target_sparsity=1, slim=0.4, group_divisible=2, epochs=2))
    assert work(run) == "done"

    result, tail = run.end.result, run.tail()
    space = SearchSpace.from_json(json.loads((run.folder / "space.json").read_text()))
    plan = space.plan(result["selected"], (), result["channels"])
    assert result["channels"]
    assert plan.params_after == result["params_after"]
    assert all(after % 2 == 0 for _, after in plan.widths.values())
    assert result["accuracy_subnet"] == result["accuracy_full"]
    assert any("channel groups will be cut" in event.text for event in tail.events)
    by_reason, by_step = result["channels_zeroed_by"], result["channels_zeroed_at"]
    assert {i for groups in by_reason.values() for i in groups} == {*result["channels"]}
    assert {i for groups in by_step.values() for i in groups} == {*result["channels"]}
    told = [event.text for event in tail.events if "channel groups became zero" in event.text]
    assert sum(int(text.split()[0]) for text in told) == len(result["channels"])


def test_a_run_that_slims_resumes_to_the_bit(store: Store) -> None:
    settings = short_settings(target_sparsity=1, slim=0.4, epochs=1, warmup_steps=3, projection_steps=4)
    straight, stopped = store.create(settings), store.create(settings)
    assert work(straight) == "done"

    def stop(progress: Progress) -> None:
        if progress.step >= 5 and not stopped.end:
            stopped.request("cancel")

    assert work(stopped, stop) == "cancelled"
    stopped.forget_request()
    assert work(stopped) == "done"
    assert timeless(stopped) == timeless(straight)
