"""Change-over: the sub-network trains on as the full network with its zeros would, and resumes to the bit."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from nasviz.catalog import NetworkSource
from nasviz.graph.trace_graph import is_switch_parameter
from nasviz.runs import Run, RunSettings, Store, Sweep, SweepSettings, SweepStore, continue_run
from nasviz.subnet import load
from nasviz.subnet.surgery import cut
from nasviz.train import Session, open_session, train, work
from nasviz.train.change_over import change_over, is_change_due
from nasviz.train.conclusion import Judgement
from nasviz.train.evaluation import Measured
from nasviz.train.rechecking import compare_with_full
from tests.train.conftest import short_settings, timeless
from tests.train.test_exact_resume import assert_equal_bits, in_a_process

NARROW = NetworkSource("demonet", input_shape=(1, 8, 8), settings={"width": 0.1})
STEPS_AFTER = 4
METHODS: dict[str, dict[str, Any]] = {
    "momentum": {"target_sparsity": 3},
    "adamw": {"target_sparsity": 3, "base": "adamw", "lr": 0.001},
    "channels": {"target_sparsity": 2, "slim": 0.3},
    "otov3": {"optimizer": "h2spg_otov3", "target_sparsity": 2},
    "operations": {"optimizer": "gsparsity", "mu": 2.0, "lr": 0.5, "threshold": 0.42, "pruning": "threshold"},
    "filters": {
        "optimizer": "gsparsity",
        "groups": "filters",
        "mu": 0.5,
        "lr": 0.5,
        "threshold": 0.2,
        "pruning": "threshold",
    },
    "width": {"optimizer": "rarts_width", "distillation": 0.0, "fraction": 0.3},
    "distillation": {"optimizer": "rarts_width", "fraction": 0.3},
}

QUICK = ("momentum", "operations", "distillation")


def settings_of(name: str, **changes: Any) -> RunSettings:
    values = {"epochs": 1, "batch_size": 64, "network": NARROW, "change_over": "auto"}
    values |= METHODS[name] | changes
    lengths = {"warmup_steps": 2, "projection_steps": 4}
    if METHODS[name].get("optimizer") in ("gsparsity", "rarts_width"):
        lengths.pop("warmup_steps")
    return short_settings(**(values | lengths))


def at_the_end_of_the_search(settings: RunSettings) -> Session:
    session = open_session(settings)
    for record in train(session):
        if session.optimizer.phase == "training":
            session.optimizer.end_search(Judgement(session, None))
            break
        assert record.phase != "training"
    return session


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in METHODS]
)
def test_the_subnetwork_trains_on_as_the_full_network_would(name: str) -> None:
    settings = settings_of(name)
    full, small = at_the_end_of_the_search(settings), at_the_end_of_the_search(settings)
    assert is_change_due(small)
    search = small.optimizer
    change = change_over(small, Measured(1.0, 0.5))
    assert small.optimizer is not search
    assert change.sub.report.params_after < change.sub.report.params_before

    for session in (full, small):
        for _ in zip(range(STEPS_AFTER), train(session), strict=False):
            pass

    expected, changed = dict(full.network.named_parameters()), 0.0
    start = dict(small.traced.named_parameters())
    for tensor_name, tensor in small.network.named_parameters():
        if tensor.dim() < 2 and full.optimizer.defaults.get("betas"):
            continue  # a bias before a norm has no gradient, and Adam follows the rounding of nothing
        pieces = [piece for piece in change.sub.plan.slices if piece.tensor == tensor_name]
        torch.testing.assert_close(tensor, cut(expected[tensor_name], pieces), rtol=2e-3, atol=2e-5)
        changed = max(changed, float((tensor - cut(start[tensor_name], pieces)).detach().abs().max()))
    assert changed > 1e-4, "nothing was trained"
    images = full.split.validation.batch(torch.arange(32))[0]
    with torch.no_grad():
        outputs = [session.network.eval()(images) for session in (full, small)]
    assert float((outputs[0] - outputs[1]).abs().max()) < 1e-2 * float(outputs[0].abs().max())
    assert full.optimizer.param_groups[0]["lr"] == small.optimizer.param_groups[0]["lr"]


def test_momentum_is_carried_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the law above does not hold."""
    monkeypatch.setattr("nasviz.optim.tuning._carried", lambda value, *others: torch.zeros_like(others[1]))
    with pytest.raises(AssertionError):
        test_the_subnetwork_trains_on_as_the_full_network_would("momentum")


DURING_SEARCH, AT_CHANGE, AFTER_CHANGE = 5, 16, 18
"""At the change-over: in the first step of the sub-network, so that the checkpoint is that of the change."""


@pytest.mark.parametrize(
    ("changes", "kills"),
    [
        ({"result": "best"}, (DURING_SEARCH, AT_CHANGE)),
        (
            {"optimizer": "rarts_width", "fraction": 0.3, "network": NARROW, "epochs": 4},
            (DURING_SEARCH, AFTER_CHANGE),
        ),
    ],
    ids=["h2spg", "width"],
)
def test_killed_on_both_sides_of_the_change_over_it_ends_equal(
    context: Any, store: Store, changes: dict[str, Any], kills: tuple[int, int]
) -> None:
    settings = short_settings(lr=0.05, change_over="auto", **changes)
    straight, killed = store.create(settings), store.create(settings)
    assert work(straight) == "done"
    for last_step in kills:
        assert in_a_process(context, killed, last_step) == -signal.SIGKILL
    assert in_a_process(context, killed) == 0

    left, right = (torch.load(run.folder / "checkpoint.pt", weights_only=True) for run in (straight, killed))
    assert left["change"] is not None
    assert_equal_bits(left, right)
    assert timeless(straight) == timeless(killed)
    weights = [(run.folder / "subnet" / "weights.safetensors").read_bytes() for run in (straight, killed)]
    assert weights[0] == weights[1]
    told = [
        [(e.step, e.kind, e.text) for e in run.tail().events if e.kind != "resume"]
        for run in (straight, killed)
    ]
    assert told[0] == told[1]
    assert straight.tail().evaluations == killed.tail().evaluations


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = short_settings(lr=0.05, network=NARROW, change_over="auto")
    run = Store(tmp_path_factory.mktemp("runs")).create(settings)
    assert work(run) == "done"
    return run


def test_a_changed_run_reports_both_networks(done: Run) -> None:
    assert done.end is not None
    result = done.end.result
    assert result["changed_at"] == 16
    assert result["params_after"] < result["params_before"]
    network = load(done.folder / "subnet")
    assert sum(p.numel() for p in network.parameters()) == result["params_after"]
    at_change = [e for e in done.tail().evaluations if e.step == 15]
    assert [e.accuracy for e in at_change] == [result["accuracy_full"]]
    last = [e for e in done.tail().evaluations if e.step == 21]
    assert {e.accuracy for e in last} == {result["accuracy_subnet"]}, "judged once, and recorded for both"
    assert 0 < result["top5_subnet"] <= 1
    assert done.tail().steps.zero_groups[-1] == 3


def test_its_subnetwork_is_compared_with_one_that_is_constructed_again(done: Run) -> None:
    small = load(done.folder / "subnet").eval()
    difference = compare_with_full(done, small).difference
    assert difference is not None
    assert difference < 1e-5
    with torch.no_grad():
        next(small.parameters()).mul_(1.5)
    with pytest.raises(Exception, match="damaged"):
        compare_with_full(done, small)


def test_it_is_continued_from_the_subnetwork(done: Run) -> None:
    continued = continue_run(Store(done.folder.parent), done, 1)
    assert work(continued) == "done"
    assert continued.end is not None
    assert continued.end.result["changed_at"] == 16
    assert continued.end.result["result_step"] == 32


def test_a_run_without_change_over_trains_the_full_network_to_its_end(tmp_path: Path) -> None:
    run = Store(tmp_path).create(short_settings(lr=0.05, network=NARROW, change_over="off"))
    assert work(run) == "done"
    assert run.end is not None
    assert "changed_at" not in run.end.result
    assert not (run.folder / "change.pt").exists()


def test_the_best_iterate_is_the_result_where_it_is_asked_for(tmp_path: Path) -> None:
    recipe = {"lr": 0.05, "epochs": 4, "lr_schedule": "constant"}
    settings = short_settings(network=NARROW, result="best", change_over="auto", **recipe)
    run = Store(tmp_path).create(settings)
    assert work(run) == "done"
    assert run.end is not None
    result, evaluations = run.end.result, run.tail().evaluations
    best = max((e for e in evaluations if e.step >= 15), key=lambda e: (e.accuracy, -e.step))
    assert result["result"] == "best"
    assert (result["result_step"], result["accuracy_subnet"]) == (best.step, best.accuracy)
    session = open_session(settings)
    network = load(run.folder / "subnet").eval()
    images, labels = session.split.validation.batch(torch.arange(len(session.split.validation)))
    with torch.no_grad():
        found = (network(images).argmax(dim=1) == labels).float().mean().item()
    assert found == pytest.approx(best.accuracy, abs=1e-6)

    continued = continue_run(Store(tmp_path), run, 1)
    assert work(continued) == "done"
    assert continued.end is not None
    later = continued.end.result
    added = [e for e in continued.tail().evaluations if e.step >= 44]
    assert added
    best = max((best, *added), key=lambda e: (e.accuracy, -e.step))
    assert later["result"] == "best"
    assert (later["result_step"], later["accuracy_subnet"]) == (best.step, best.accuracy)
    network = load(continued.folder / "subnet").eval()
    with torch.no_grad():
        found = (network(images).argmax(dim=1) == labels).float().mean().item()
    assert found == pytest.approx(best.accuracy, abs=1e-6), "the file of the best iterate came along"


def test_after_a_search_of_switches_only_weights_train_on_the_batches_in_turn() -> None:
    own = {"warmup_steps": 1, "architecture_lr": 0.2, "penalty_step": 0.3, "search_steps": 4}
    settings = short_settings(
        optimizer="sparsenas", network=NARROW, change_over="auto", target_zeros=0.5, **own
    )
    session = at_the_end_of_the_search(settings)
    change_over(session, Measured(1.0, 0.5))
    names = {id(p): name for name, p in session.network.named_parameters()}
    trained = [names[id(p)] for g in session.optimizer.param_groups for p in g["params"] if id(p) in names]
    assert trained
    assert not any(is_switch_parameter(name) for name in trained)
    before = {name: p.detach().clone() for name, p in session.network.named_parameters()}
    asked: list[tuple[str, int]] = []

    class Batch:
        def __init__(self, name: str, start: int) -> None:
            self.name = name
            self.images, self.labels = session.split.train.batch(torch.arange(start, start + 8))

        def loss(self, others: Any = ()) -> tuple[torch.Tensor, torch.Tensor]:
            asked.append((self.name, len(others)))
            value = torch.nn.functional.cross_entropy(session.network(self.images), self.labels)
            return value, torch.tensor(float(len(asked)))

    steps = session.optimizer.num_steps
    _, accuracy = session.optimizer.train_step([Batch("first half", 0), Batch("second half", 8)])
    assert asked == [("first half", 0), ("second half", 0)], "one step on each, in the order of the search"
    assert session.optimizer.num_steps == steps + 1
    assert accuracy == 1, "that of the first"
    after = dict(session.network.named_parameters())
    assert all(torch.equal(after[n], before[n]) for n in before if is_switch_parameter(n))
    assert any(not torch.equal(after[n], before[n]) for n in trained)


def search_and_train(context: Any, folder: Path, kill_at: int | None) -> Sweep:
    """A sweep of two stages, each of whose workers is killed at a step, and resumed."""
    cells = NetworkSource("nas_bench_201", (3, 8, 8), settings={"channels": 2, "cells": 1})
    own = {"warmup_steps": 1, "architecture_lr": 0.1, "batch_size": 128, "epochs": 2, "checkpoint_steps": 1}
    base = RunSettings.of(network=cells, method="darts", device="cpu", **own)
    stage = {"set.channels": 4, "set.cells": 1, "batch_size": 128, "epochs": 1, "checkpoint_steps": 3}
    sweep = SweepStore(folder).create(SweepSettings(base, then=(stage,)))
    for index in range(2):
        assert index < len(sweep.points), "the second stage begins when the first is over"
        run = Store(folder).create(sweep.settings_at(index), run_id=sweep.run_id(index), parent=sweep.id)
        if kill_at is not None:
            assert in_a_process(context, run, kill_at) == -signal.SIGKILL
            assert sweep.state == "stopped"
        assert in_a_process(context, run) == 0
    return sweep


def test_both_stages_killed_and_resumed_end_equal(context: Any, tmp_path: Path) -> None:
    straight = search_and_train(context, tmp_path / "straight", None)
    killed = search_and_train(context, tmp_path / "killed", 4)
    assert straight.state == killed.state == "done"
    for index in range(2):
        left, right = straight.run(index), killed.run(index)
        assert left is not None
        assert right is not None
        states = [torch.load(run.folder / "checkpoint.pt", weights_only=True) for run in (left, right)]
        assert_equal_bits(*states)
        assert timeless(left) == timeless(right)
        weights = [(run.folder / "subnet" / "weights.safetensors").read_bytes() for run in (left, right)]
        assert weights[0] == weights[1]
    search, training = (straight.run(index) for index in range(2))
    assert search is not None
    assert training is not None
    found = dict(training.settings.network.settings)
    assert found["genotype"] == search.genotype.text
    assert (training.settings.network.name, found["channels"]) == ("cells", 4)
