"""Networks of several inputs, and losses that need more than output and label, through the built-in loop."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import nasviz
from nasviz.catalog import NetworkSource
from nasviz.errors import DataError, InputError, NasvizError
from nasviz.runs import RunSettings, Store
from nasviz.train import open_session, train, work
from nasviz.train.batches import arguments
from nasviz.train.checkpoint import restore, save

CODE = '''
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, default_collate

class Towers(nn.Module):
    """An image-like and a text-like part, each with a branch that can go."""
    def __init__(self):
        super().__init__()
        self.left, self.left_branch = nn.Linear(6, 8), nn.Linear(8, 8)
        self.right, self.right_branch = nn.Embedding(10, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)
    def forward(self, values, words):
        x, y = self.left(values), self.right(words)
        x, y = x + self.left_branch(x).relu(), y + self.right_branch(y).relu()
        return self.head((x + y).relu())

class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.branch, self.head = nn.Embedding(10, 8), nn.Linear(8, 8), nn.Linear(8, 3)
    def forward(self, ids, mask, note=None):
        x = self.table(ids)
        x = (x + self.branch(x).relu()) * mask.unsqueeze(2)
        return self.head(x.sum(1))

class Returning(Towers):
    """Returns its own loss, as networks of transformers do."""
    def forward(self, values, words, labels):
        scores = super().forward(values, words)
        return {"loss": cross_entropy(scores, labels), "scores": scores}

def towers():
    return Towers(), (torch.randn(2, 6), torch.tensor([0, 9]))
def masked():
    return Masked(), {"ids": torch.tensor([[0, 9, 1, 1]] * 2), "mask": torch.ones(2, 4)}
def returning():
    return Returning(), (torch.randn(2, 6), torch.tensor([0, 9]), torch.tensor([0, 1]))

class Items(Dataset):
    def __init__(self, form):
        self.form = form
    def __len__(self):
        return 48
    def __getitem__(self, i):
        values, words = torch.randn(6) + i % 3, torch.tensor(i % 3)
        mask = torch.tensor([1.0, 1, 1, i % 2])
        return {
            "tuple": ((values, words), i % 3),
            "dict": ({"ids": torch.randint(3, (4,)) + i % 3, "mask": mask}, i % 3),
            "labelled": {"values": values, "words": words, "labels": torch.tensor(i % 3)},
        }[self.form]

def tuples(): return Items("tuple"), Items("tuple")
def dicts(): return Items("dict"), DataLoader(Items("dict"), batch_size=5, shuffle=True)
def labelled(): return DataLoader(Items("labelled"), collate_fn=default_collate), Items("labelled")
def tensors():
    values, words = torch.randn(48, 6, generator=torch.Generator().manual_seed(0)), torch.arange(48) % 3
    return (((values, words), words),) * 2
def endless():
    return iter(range(9)), Items("tuple")

def weighed(output, batch):
    inputs, labels = batch
    return (cross_entropy(output, labels, reduction="none") * inputs["mask"].sum(1)).mean()
def scored(output, batch):
    (values, words), labels = batch
    return cross_entropy(output, labels) + values.mean().square(), 0.25
'''
CASES = {
    "towers": ("towers", "tuples", "cross_entropy"),
    "tensors": ("towers", "tensors", "scored"),
    "mask": ("masked", "dicts", "weighed"),
    "own loss": ("returning", "labelled", "network"),
}


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> tuple[str]:
    folder = tmp_path_factory.mktemp("trusted")
    (folder / "several_inputs.py").write_text(CODE)
    return (str(folder),)


def settings_of(trust: tuple[str], network: str, data: str, loss: str, **more: Any) -> RunSettings:
    own = NetworkSource(f"several_inputs:{network}", trust=trust)
    loss = loss if loss in ("cross_entropy", "network") else f"several_inputs:{loss}"
    chosen = {"epochs": 2, "batch_size": 8, "lr": 0.05, "warmup_steps": 3, "projection_steps": 4}
    given = chosen | {"target_sparsity": 1, "checkpoint_steps": 100} | more
    return RunSettings.of(network=own, data=f"several_inputs:{data}", loss=loss, trust=trust, **given)


@pytest.mark.parametrize("case", CASES)
def test_a_run_ends_in_an_exact_sub_network_and_resumes_to_the_bit(
    case: str, trust: tuple[str], tmp_path: Path
) -> None:
    settings = settings_of(trust, *CASES[case])
    run = Store(tmp_path / "runs").create(settings)
    assert work(run) == "done"
    assert run.end is not None
    result = run.end.result
    assert (result["outcome"], len(result["selected"])) == ("valid", 1)
    assert result["params_after"] < result["params_before"]
    assert result["max_relative_error"] < 1e-5
    assert result["accuracy_subnet"] == 0.25 if case == "tensors" else result["accuracy_subnet"] > 0.34
    half = Store(tmp_path / "half").create(settings.changed(change_over="off"))
    session = open_session(half.settings)
    steps = train(session)
    first = [float(record.loss) for record in itertools.islice(steps, 5)]
    save(session, half.folder)
    rest = [float(record.loss) for record in steps]
    again = open_session(half.settings)
    restore(again, half.folder)
    assert [float(record.loss) for record in train(again)] == rest
    assert np_equal(run.tail().steps.loss[:5], first)


def np_equal(recorded: Any, expected: list[float]) -> bool:
    return [float(value) for value in recorded] == expected


@pytest.mark.parametrize(
    ("network", "data", "more", "error", "words"),
    [
        ("masked", "labelled", {}, InputError, "takes ids, mask, and the batch holds values, words"),
        ("returning", "tuples", {}, NasvizError, "takes 3 inputs"),
        ("towers", "tuples", {"mixup": 0.2}, NasvizError, "single images"),
        ("towers", "tuples", {"augmentation": "shift"}, NasvizError, "single images"),
        ("towers", "endless", {}, DataError, "resumed"),
        ("towers", "tuples", {"loss": "network"}, NasvizError, "returns its loss"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(
    network: str, data: str, more: Any, error: type[Exception], words: str, trust: tuple[str]
) -> None:
    chosen = {"loss": "cross_entropy"} | more
    with pytest.raises(error, match=words):
        next(train(open_session(settings_of(trust, network, data, **chosen))))


def test_arguments_follow_the_traced_network() -> None:
    class Sum(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return a + b

    net = nasviz.trace(Sum(), (torch.zeros(2), torch.zeros(2)))
    assert arguments(net, {"b": 2, "a": 1, "labels": 3}) == arguments(net, (1, 2)) == (1, 2)
    assert arguments(net, 5) == (5,)
    with pytest.raises(InputError, match="a, b"):
        arguments(net, {"a": 1, "b": 2, "c": 3})
    whole = nasviz.trace(_Taken(), ({"x": torch.zeros(2)},))
    assert arguments(whole, {"x": 1}) == ({"x": 1},)


class _Taken(nn.Module):
    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return batch["x"] * 2
