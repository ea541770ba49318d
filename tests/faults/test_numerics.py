"""Trainings that cannot work, or did not: one sentence each, before or during them, and no false alarm."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nasviz.catalog import NetworkSource
from nasviz.cli.reports import list_lines, run_lines
from nasviz.errors import DataError, InvalidSettingError, NasvizError, TrainingError
from nasviz.runs import Run, RunSettings, Store
from nasviz.runs.files import DATABASE
from nasviz.settings import METHODS
from nasviz.train import work
from nasviz.train.divergence import divergence
from tests.train.conftest import short_settings

CODE = """
import sys
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset

IMAGES = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(64) % 4

class Items(Dataset):
    classes = ("a", "b", "c", "d")
    def __init__(self, label):
        self.label = label
    def __len__(self):
        return 64
    def __getitem__(self, index):
        return IMAGES[index], self.label(index)

def good(): return (IMAGES, LABELS), (IMAGES, LABELS)
def items(): return Items(lambda i: i % 4), Items(lambda i: i % 4)
def beyond(): return (IMAGES, LABELS), (IMAGES, LABELS + 9)
def negative(): return (IMAGES, LABELS - 1), (IMAGES, LABELS)
def floats(): return (IMAGES, LABELS.float()), (IMAGES, LABELS.float())
def one_class(): return (IMAGES, LABELS * 0), (IMAGES, LABELS)
def late(): return Items(lambda i: 18 if i == 40 else i % 4), Items(lambda i: i % 4)
def leaves(): return Items(lambda i: sys.exit("bye") if i == 40 else i % 4), Items(lambda i: i % 4)
def leaves_at_once(): sys.exit(0)

def interrupts():
    def label(index):
        if index == 40:
            raise KeyboardInterrupt
        return index % 4
    return Items(label), Items(lambda i: i % 4)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(64, 8), nn.Linear(8, 4)
    def forward(self, x):
        return self.last(self.first(x.flatten(1)).relu())

def net(): return Net()
def half(): return Net().half()
def double(): return Net().double()
def frozen(): return Net().requires_grad_(False)

class Normed(Net):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(8)
    def forward(self, x):
        return self.last(self.norm(self.first(x.flatten(1))).relu())

def normed(): return Normed()
def constant(output, labels): return torch.tensor(1.0)
def breaks(output, labels): raise ZeroDivisionError("my own fault")
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    name = f"numerics_{tmp_path.name.translate(str.maketrans('[]-.', '____'))}"
    (folder / f"{name}.py").write_text(CODE)
    return folder / f"{name}.py"


def own(code: Path, **changes: Any) -> RunSettings:
    """A run on a network and data of the user's own, named by their functions in `code`."""
    trust = (str(code.parent),)
    network = NetworkSource(f"{code.stem}:{changes.pop('net', 'net')}", input_shape=(1, 8, 8), trust=trust)
    found: dict[str, Any] = {"data": f"{code.stem}:{changes.pop('data', 'good')}"}
    if loss := changes.pop("loss", None):
        found["loss"] = f"{code.stem}:{loss}"
    base: dict[str, Any] = {"batch_size": 16, "device": "cpu", "epochs": 1}
    method = METHODS[changes.get("optimizer", "h2spg")]
    base |= {name: 1 for name in ("warmup_steps", "projection_steps") if method.has(name)}
    return RunSettings.of(network=network, trust=trust, **(base | found | changes))


def end_of(tmp_path: Path, settings: RunSettings) -> Run:
    run = Store(tmp_path / "runs").create(settings)
    work(run)
    return run


REFUSED = [
    ({"data": "beyond"}, DataError, "holds the label 12, and the network has 4 outputs"),
    ({"data": "negative"}, DataError, "holds the label -1"),
    ({"data": "floats"}, DataError, "whole numbers from 0 to 3"),
    ({"data": "one_class"}, DataError, "all 64 training examples .* are of class 0"),
    ({"data": "late"}, DataError, "holds the label 18"),
    ({"data": "leaves"}, DataError, "an item of its data set raised SystemExit: bye"),
    ({"data": "leaves_at_once"}, InvalidSettingError, "raised SystemExit"),
    ({"data": "interrupts"}, TrainingError, r"raised KeyboardInterrupt itself, at .*numerics_.*\.py:\d+"),
    ({"net": "half"}, InvalidSettingError, r"computes in torch.float16.*`.float\(\)`"),
    ({"net": "double"}, InvalidSettingError, "computes in torch.float64"),
    ({"net": "frozen"}, InvalidSettingError, "none of them is trained"),
    ({"net": "normed", "batch_size": 1}, InvalidSettingError, "batch_size=1 leaves one example a step"),
    ({"loss": "constant"}, TrainingError, "depends on no parameter"),
    ({"loss": "breaks"}, TrainingError, "step 0 of the training failed with ZeroDivisionError: my own fault"),
]


@pytest.mark.parametrize(
    ("changes", "kind", "words"), REFUSED, ids=lambda v: str(v) if isinstance(v, dict) else ""
)
def test_what_cannot_be_trained_fails_with_one_sentence(
    tmp_path: Path, code: Path, changes: dict[str, Any], kind: type[NasvizError], words: str
) -> None:
    run = Store(tmp_path / "runs").create(own(code, **changes))
    with pytest.raises(kind, match=words) as caught:
        work(run)
    assert "\n" not in str(caught.value)
    assert run.end is not None
    assert (run.state, run.end.error) == ("failed", str(caught.value))


@pytest.mark.parametrize("changes", [{}, {"data": "items"}, {"net": "normed"}, {"batch_size": 1}], ids=str)
def test_what_can_be_trained_is_not_refused(tmp_path: Path, code: Path, changes: dict[str, Any]) -> None:
    run = end_of(tmp_path, own(code, **changes))
    assert run.end is not None
    assert run.end.result["outcome"] == "valid"
    assert "diverged" not in run.end.result


NARROW = NetworkSource("demonet", input_shape=(1, 8, 8), settings={"width": 0.1})
MLP = NetworkSource("mlp_digits")


@pytest.mark.parametrize(
    "changes",
    [
        {
            "optimizer": "darts",
            "network": NARROW,
            "lr": 1000.0,
            "warmup_steps": 0.1,
        },
        {"base": "adam", "lr": 1000.0, "target_sparsity": 0},
    ],
    ids=lambda c: str(c.get("optimizer", "h2spg")),
)
def test_a_diverged_run_is_never_called_fine(tmp_path: Path, changes: dict[str, Any]) -> None:
    settings = short_settings(**({"network": NARROW} | changes))
    run = end_of(tmp_path, settings)
    assert run.state == "done"
    assert run.end is not None
    result = run.end.result
    assert result["outcome"] == "diverged"
    assert "lower lr=1000" in result["diverged"]
    (event,) = [event for event in run.tail().events if event.kind == "diverged"]
    assert event.text == result["diverged"]
    (summary,) = Store(tmp_path / "runs").list()
    assert summary.diverged == result["diverged"]
    assert any("diverged" in line for line in run_lines(run))
    assert any(result["diverged"][:30] in line for line in list_lines([summary]))


def test_the_rule_of_divergence_knows_bad_starts_spikes_and_noise() -> None:
    guess = math.log(10)
    fall = np.linspace(2.4, 0.3, 200)
    assert divergence(fall, 10) is None
    assert divergence(np.concatenate([fall, [400.0]]), 10) is None, "one spike"
    assert divergence(np.full(200, guess), 10) is None, "nothing learned, nothing lost"
    assert divergence(np.linspace(80.0, 30.0, 200), 10) is None, "a bad start, and it learns"
    assert divergence(np.concatenate([fall, np.full(40, 3.9 * guess)]), 10) is None
    assert divergence(np.concatenate([fall, np.full(40, 4.1 * guess)]), 10) is not None
    assert divergence(np.array([2.3, 9e5, math.nan]), 10) is not None
    assert divergence(np.array([2.3]), 10) is None
    assert divergence(np.linspace(1e-3, 9e-2, 99), None) is None, "a loss of one's own may rise"
    assert divergence(np.geomspace(1.0, 1e6, 99), None) is not None


def image_folder(folder: Path) -> Path:
    for part in ("train", "val"):
        for label in ("a", "b"):
            (folder / part / label).mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (8, 8), (40 * number, 0, 0)).save(folder / part / label / f"{number}.png")
    return folder


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def garble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[37:41] = b"\0\0\0\0"
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [pipe, cut, garble, lambda path: path.write_bytes(b"")])
def test_what_is_no_image_is_named_and_never_waited_for(tmp_path: Path, damage: Any) -> None:
    from nasviz.data import load

    folder = image_folder(tmp_path)
    split = load("image_folder", image_shape=(3, 8, 8), folder=folder)
    everything = torch.arange(8)
    assert len(split.train.batch(everything)[1]) == 8
    damage(folder / "train" / "b" / "2.png")
    with pytest.raises(DataError, match=r"b/2\.png (cannot be read as an image|is a pipe)") as caught:
        split.train.batch(everything)
    assert "\n" not in str(caught.value)


def test_a_link_to_an_image_is_an_image(tmp_path: Path) -> None:
    from nasviz.data import load

    folder = image_folder(tmp_path)
    (folder / "train" / "a" / "9.png").symlink_to(folder / "train" / "b" / "1.png")
    split = load("image_folder", image_shape=(3, 8, 8), folder=folder)
    assert len(split.train.batch(torch.arange(9))[1]) == 9


def test_measured_latencies_are_on_record_and_used_again(tmp_path: Path) -> None:
    settings = short_settings(
        network=NARROW,
        optimizer="rarts",
        warmup_steps=0.1,
        latency_weight=1.0,
        epochs=1,
    )
    first = end_of(tmp_path, settings)
    measured = first.tail().facts["latencies"]
    assert min(map(sum, measured)) > 0
    assert first.end is not None
    assert any(first.end.result["latencies"]["sha256"][:12] in line for line in run_lines(first))

    # A worker that died before its first checkpoint has left its record, and nothing else.
    second = Store(tmp_path / "runs").create(settings)
    (second.folder / DATABASE).write_bytes((first.folder / DATABASE).read_bytes())
    work(second)
    assert second.tail().facts["latencies"] == measured
    assert second.tail().steps.loss.tolist() == first.tail().steps.loss.tolist()

    third = end_of(tmp_path, settings)
    assert third.end is not None
    is_same = third.tail().facts["latencies"] == measured
    assert (third.end.result["latencies"] == first.end.result["latencies"]) == is_same
