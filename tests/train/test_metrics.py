"""Metrics of an evaluation: values, directions, and what they decide."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torch import nn

import nasviz
from nasviz.catalog import METRICS, NetworkSource, find_metric, metric_of
from nasviz.cli.reports import run_lines
from nasviz.errors import (
    DataError,
    InvalidSettingError,
    MissingPackageError,
    RunStateError,
    UnknownNameError,
)
from nasviz.runs import RunSettings, Store
from nasviz.runs.trust import imports_of
from nasviz.train import metrics as measuring
from nasviz.train import work
from nasviz.train.evaluation import measure
from nasviz.train.metrics import load_meters
from nasviz.train.objective import classification_loss, judge, scores_of

CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, outputs=1, kernel=0):
        super().__init__()
        kind = (lambda a, b: nn.Conv2d(a, b, kernel, padding=kernel // 2)) if kernel else nn.Linear
        self.first, self.branch, self.last = kind(2, 8), kind(8, 8), kind(8, outputs)
    def forward(self, x):
        y = self.first(x)
        return self.last(y + self.branch(y).relu())

def wrong(outputs, targets): return outputs.no_such_name
def none_better(outputs, targets): return float("nan")
number = 3
class NoUpdate: pass
class Unhashable:
    __hash__ = None
    def __call__(self, output, target): return output.square().mean(), 0.5
unhashable = Unhashable()

def named():
    x = torch.randn(64, 2)
    return ([{"x": a, "labels": {"y": a.sum()}} for a in x],) * 2
def values():
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    return ((x, x.sum(1)),) * 2
def maps():
    x = torch.randn(16, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    y = (x.sum(1) > 0).long()
    y[:, 0] = -100  # not labelled
    return ((x, y),) * 2
def regression(): return Net(), (torch.zeros(2, 2),)
def segmentation(): return Net(2, 3), (torch.zeros(2, 2, 6, 6),)
def worst(outputs, targets):
    return (outputs[:, 0] - targets).abs().max()
class Count:
    def __init__(self): self.total = 0
    def update(self, output, target): self.total += len(target)
    def compute(self): return self.total
"""


@pytest.fixture(scope="module")
def traced() -> Any:
    model, inputs = nasviz.zoo.create("demonet", input_shape=(1, 8, 8), width=0.25)
    net = nasviz.trace(model, inputs)
    return net, nasviz.search_space(net)


@pytest.fixture
def watched(traced: Any) -> Any:
    net, space = copy.deepcopy(traced[0]), traced[1]
    phases = {"warmup_steps": 2, "projection_steps": 2, "target_sparsity": 1}
    optimizer = nasviz.optim.create("h2spg", net, space, lr=0.05, **phases)
    return net, space, optimizer, (torch.randn(12, 1, 8, 8), torch.arange(12) % 10)


def step(net: nn.Module, optimizer: Any, batch: Any) -> torch.Tensor:
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(net(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    return loss


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> tuple[str]:
    folder = tmp_path_factory.mktemp("trusted")
    (folder / "metric_code.py").write_text(CODE)
    return (str(folder),)


def measured(scores: torch.Tensor, target: torch.Tensor, *names: str, **more: Any) -> Any:
    """Evaluate the identity on scores, in two batches of unequal size."""
    batches = [(scores[:5], target[:5]), (scores[5:], target[5:])]
    meters = load_meters(names, **more)
    return measure(nn.Identity(), batches, device=torch.device("cpu"), meters=meters).metrics


def test_values_are_those_of_the_whole_data_set() -> None:
    torch.manual_seed(0)
    scores, labels = torch.randn(40, 4), torch.arange(40) % 4
    found = measured(scores, labels, "f1", "auroc", "accuracy", "precision", "recall", "balanced_accuracy")
    guess, shares = scores.argmax(1), scores.softmax(1)
    macro = {"average": "macro"}
    expected = {
        "f1": reference.f1_score(labels, guess, **macro),
        "auroc": reference.roc_auc_score(labels, shares, multi_class="ovr", **macro),
        "accuracy": reference.accuracy_score(labels, guess),
        "precision": reference.precision_score(labels, guess, **macro),
        "recall": reference.recall_score(labels, guess, **macro),
        "balanced_accuracy": reference.balanced_accuracy_score(labels, guess),
    }
    assert found == pytest.approx(expected, rel=1e-5)
    assert list(found) == list(expected)


def test_values_of_numbers_and_of_labels_one_each() -> None:
    torch.manual_seed(0)
    numbers, target = torch.randn(30, 1), torch.randn(30)
    loss = lambda output, target: (output[:, 0] - target).square().mean()  # noqa: E731
    batches = [(numbers, target)]
    meters = load_meters(("mse", "rmse", "mae", "r2"))
    found = measure(nn.Identity(), batches, device=torch.device("cpu"), loss=loss, meters=meters).metrics
    mse = reference.mean_squared_error(target, numbers)
    mae, r2 = reference.mean_absolute_error(target, numbers), reference.r2_score(target, numbers)
    assert found == pytest.approx({"mse": mse, "rmse": mse**0.5, "mae": mae, "r2": r2}, rel=1e-4)
    labels = (torch.rand(30, 3) > 0.5).float()
    bce = nn.functional.binary_cross_entropy_with_logits
    scores = torch.randn(30, 3)
    meters = load_meters(("auroc",))
    many = measure(nn.Identity(), [(scores, labels)], device=torch.device("cpu"), loss=bce, meters=meters)
    assert many.accuracy == pytest.approx(reference.roc_auc_score(labels, scores, average="macro"), rel=1e-5)


def run_of(trust: tuple[str], folder: Path, network: str, data: str, **more: Any) -> Any:
    source = NetworkSource(f"metric_code:{network}", trust=trust)
    chosen = {"epochs": 3, "batch_size": 8, "lr": 0.02, "warmup_steps": 3, "projection_steps": 4}
    given = chosen | {"target_sparsity": 1} | more
    run = Store(folder).create(
        RunSettings.of(network=source, data=f"metric_code:{data}", trust=trust, **given)
    )
    assert work(run) == "done"
    return run


def test_a_regression_keeps_the_iterate_of_the_smallest_error(trust: tuple[str], tmp_path: Path) -> None:
    metric = ("mse", "r2", "metric_code:worst:min")
    run = run_of(trust, tmp_path, "regression", "values", loss="mse", metric=metric, result="best", lr=0.1)
    result, tail = run.end.result, run.tail()
    after = [e for e in tail.evaluations if e.network == "full" and e.step >= result["changed_at"]]
    best = min(after, key=lambda e: e.accuracy)
    assert result["best_step"] == best.step
    assert result["accuracy_subnet"] == pytest.approx(best.accuracy)
    assert all(e.accuracy == pytest.approx(e.loss, rel=1e-5) for e in tail.evaluations)
    assert list(result["metrics_subnet"]) == ["mse", "r2", "metric_code:worst"]
    assert np.isnan(tail.steps.accuracy).all()
    assert metric_of(result).name == metric_of(tail.facts).name == "mse"


def test_maps_of_classes_train_and_ignore_what_is_not_labelled(trust: tuple[str], tmp_path: Path) -> None:
    run = run_of(trust, tmp_path, "segmentation", "maps", metric=("miou", "accuracy"), epochs=5)
    result = run.end.result
    assert result["max_relative_error"] < 1e-5
    assert 0.3 < result["metrics_full"]["miou"] < result["metrics_full"]["accuracy"] <= 1


def test_metrics_of_the_user_are_functions_or_classes(trust: tuple[str]) -> None:
    scores, target = torch.arange(8.0)[:, None], torch.zeros(8)
    names = ("metric_code:worst:min", "metric_code:Count")
    loss = lambda output, target: output.mean()  # noqa: E731
    meters = load_meters(names, trust)
    batches = [(scores[:5], target[:5]), (scores[5:], target[5:])]
    found = measure(nn.Identity(), batches, device=torch.device("cpu"), loss=loss, meters=meters).metrics
    assert found == {"metric_code:worst": 7.0, "metric_code:Count": 8.0}
    assert not find_metric("metric_code:worst:min").higher_is_better


def test_what_cannot_be_measured_is_refused(trust: tuple[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="auroc"):
        find_metric("auc")
    with pytest.raises(InvalidSettingError, match="metric"):
        RunSettings.of(network="demonet", metric=("f1", "f1"))
    with pytest.raises(InvalidSettingError, match="trust"):
        RunSettings.of(network="demonet", metric=("mine:worst",))
    with pytest.raises(DataError, match="scores"):
        measured(torch.zeros(9, 2, 2), torch.zeros(9, dtype=torch.int64), "f1")
    assert metric_of({"metrics": ["../x"]}) == METRICS["accuracy"]

    def missing(module: str, purpose: str) -> None:
        raise MissingPackageError(f"{purpose} needs {module}", name=module)

    monkeypatch.setattr(measuring, "require_package", missing)
    load_meters(("accuracy",))
    with pytest.raises(MissingPackageError, match="f1"):
        load_meters(("f1",))


@pytest.mark.parametrize("name", ["number", "NoUpdate"])
def test_an_object_that_is_no_metric_is_refused(trust: tuple[str], name: str) -> None:
    with pytest.raises(InvalidSettingError, match=name):
        load_meters((f"metric_code:{name}",), trust)


def test_what_a_metric_raises_is_told_with_its_name(trust: tuple[str]) -> None:
    meters = load_meters(("metric_code:wrong",), trust)
    batch = torch.zeros(9, 2), torch.zeros(9, dtype=torch.int64)
    with pytest.raises(DataError, match=r"metric_code:wrong.*AttributeError.*no_such_name"):
        measure(nn.Identity(), [batch], device=torch.device("cpu"), meters=meters)


def test_scores_whose_classes_may_be_on_either_axis_are_refused() -> None:
    scores, target = torch.randn(4, 6, 5), torch.randint(5, (4, 6))
    wanted = nn.functional.cross_entropy(scores.movedim(-1, 1), target)
    assert torch.equal(classification_loss(scores, target)[0], wanted)
    square, target = torch.randn(4, 5, 5), torch.randint(5, (4, 5))
    for read in (classification_loss, lambda scores, target: judge(scores, target, None), scores_of):
        with pytest.raises(DataError, match=r"\(4, 5, 5\)"):
            read(square, target)


def test_a_metric_that_is_not_finite_ends_no_run(trust: tuple[str], tmp_path: Path) -> None:
    metric = ("mse", "metric_code:none_better")
    run = run_of(trust, tmp_path, "regression", "values", loss="mse", metric=metric)
    assert run.state == "done"
    assert run.end.result["metrics_subnet"].keys() == {"mse"}
    (told,) = [event.text for event in run.tail().events if event.kind == "warning"]
    assert "none_better of metrics_full" in told
    assert any("none_better —" in line for line in run_lines(run))


def test_a_loss_that_cannot_be_hashed_trains(trust: tuple[str], tmp_path: Path) -> None:
    run = run_of(trust, tmp_path, "regression", "values", loss="metric_code:unhashable", metric=("accuracy",))
    assert (run.state, run.tail().evaluations[-1].accuracy) == ("done", 0.5)


def test_a_target_that_is_no_tensor_needs_another_loss(trust: tuple[str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dict"):
        run_of(trust, tmp_path, "regression", "named", loss="cross_entropy")


def gap(outputs: torch.Tensor, targets: torch.Tensor) -> float:
    return float(outputs.argmax(1).sub(targets).abs().float().mean())


def half(outputs: torch.Tensor, targets: torch.Tensor) -> float:
    return 0.5


gap.higher_is_better = False  # type: ignore[attr-defined]


def test_functions_are_metrics_of_a_watched_loop(watched: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = watched
    with pytest.raises(InvalidSettingError, match=r"metrics=\(f,\)"):
        nasviz.watch(net, space, optimizer, runs=tmp_path, metrics=("mine:f",))
    rec = nasviz.watch(net, space, optimizer, runs=tmp_path, metrics=(gap, half))
    names = f"{__name__}:gap", f"{__name__}:half"
    assert rec.evaluate([batch]).metrics[names[1]] == 0.5
    assert rec.evaluate(loss=1.0, gap=2.0, half=0.25).metrics == {names[0]: 2.0, names[1]: 0.25}
    rec.close()
    begin = partial(nasviz.watch, net, space, optimizer, runs=tmp_path, run=rec.run.id)
    with pytest.raises(RunStateError, match=r"gap:min.*not f1"):
        begin(metrics=("f1",))
    with pytest.raises(InvalidSettingError, match=r"metrics=\(gap,\)"):
        begin()
    with begin(metrics=(gap, half)) as rec:
        rec.log(loss=step(net, optimizer, batch), gap=0.5)
        rec.evaluate(loss=1.0, gap=2.0, half=0.25)
        rec.finish(construct=False)
    run = rec.run
    assert (run.state, run.settings.metric[0]) == ("done", f"{names[0]}:min")
    assert not metric_of(run.tail().facts).higher_is_better
    assert run.tail().steps.accuracy.tolist() == [0.5]
    assert imports_of(run.settings) == ()  # its script alone can import them
    assert any("half 0.25" in line for line in run_lines(run))


def test_a_resumed_loop_keeps_the_metrics_of_its_run(watched: Any, tmp_path: Path) -> None:
    net, space, optimizer, _ = watched
    rec = nasviz.watch(net, space, optimizer, runs=tmp_path, metrics=("f1",))
    rec.close()
    with nasviz.watch(net, space, optimizer, runs=tmp_path, run=rec.run.id) as rec:
        assert rec.evaluate(loss=1.0, f1=0.5).metrics == {"f1": 0.5}
        rec.finish(construct=False)


def test_a_watched_loop_measures_and_takes_its_metrics(watched: Any, tmp_path: Path) -> None:
    net, space, optimizer, batch = watched
    with nasviz.watch(net, space, optimizer, runs=tmp_path, metrics=("f1", "auroc")) as rec:
        for _ in range(5):
            rec.log(loss=step(net, optimizer, batch), f1=0.5)
        assert rec.evaluate(loss=1.0, f1=0.25).metrics == {"f1": 0.25}
        with pytest.raises(InvalidSettingError, match="f1, auroc"):
            rec.evaluate(accuracy=0.5)
        found = rec.evaluate([batch])
        rec.finish()
    run = rec.run
    assert run.settings.metric == ("f1", "auroc")
    assert set(run.tail().steps.accuracy) == {0.5}
    assert found.accuracy == found.metrics["f1"] == run.end.result["accuracy_full"]
    assert run.tail().evaluations[-1].metrics.keys() == {"f1", "auroc"}
