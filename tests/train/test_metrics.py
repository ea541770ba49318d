"""Metrics of an evaluation: values, directions, and what they decide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torch import nn

import nasviz
from nasviz.catalog import METRICS, NetworkSource, find_metric, metric_of
from nasviz.errors import DataError, InvalidSettingError, MissingPackageError, UnknownNameError
from nasviz.runs import RunSettings, Store
from nasviz.train import metrics as measuring
from nasviz.train import work
from nasviz.train.evaluation import measure
from nasviz.train.metrics import load_meters

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


def test_a_watched_loop_measures_and_takes_its_metrics(tmp_path: Path) -> None:
    model, (x,) = nasviz.zoo.create("demonet", input_shape=(1, 8, 8), width=0.25)
    net = nasviz.trace(model, (x,))
    space = nasviz.search_space(net)
    phases = {"warmup_steps": 2, "projection_steps": 2, "target_sparsity": 1}
    optimizer = nasviz.optim.create("h2spg", net, space, lr=0.05, **phases)
    batch = torch.randn(12, 1, 8, 8), torch.arange(12) % 10
    with nasviz.watch(net, space, optimizer, runs=tmp_path, metrics=("f1", "auroc")) as rec:
        for _ in range(5):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(batch[0]), batch[1])
            loss.backward()
            optimizer.step()
            rec.log(loss=loss, f1=0.5)
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
