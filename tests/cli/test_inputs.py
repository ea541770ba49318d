"""Networks of sounds, films, tokens and several arguments: told on the command line, traced, trained, cut."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command

CODE = '''
import torch
from torch import nn
from torch.nn import functional as F

class Sound(nn.Module):
    """One dimension; one convolution is called twice."""
    def __init__(self):
        super().__init__()
        self.stem, self.branch, self.shared = nn.Conv1d(1, 4, 3), nn.Conv1d(4, 4, 1), nn.Conv1d(4, 4, 1)
        self.head = nn.Linear(4, 2)
    def forward(self, x):
        x = self.stem(x)
        x = x + F.gelu(self.branch(x))
        x = x + self.shared(F.relu(self.shared(x)))
        return self.head(x.mean(-1))

class Film(nn.Module):
    """Three dimensions, two films in a dict."""
    def __init__(self):
        super().__init__()
        self.rgb, self.flow = nn.Conv3d(3, 4, 3, padding=1), nn.Conv3d(2, 4, 1)
        self.norm, self.last, self.head = nn.BatchNorm3d(8), nn.Conv3d(8, 4, 1), nn.Linear(4, 2)
    def forward(self, batch):
        x = torch.cat([self.rgb(batch["rgb"]), self.flow(batch["flow"])], 1)
        return self.head(self.last(F.relu(self.norm(x))).mean((2, 3, 4)))

class Tokens(nn.Module):
    """Whole numbers, a recurrent layer, tied weights."""
    def __init__(self, kind="LSTM"):
        super().__init__()
        self.table, self.rnn = nn.Embedding(20, 8), getattr(nn, kind)(8, 8, batch_first=True)
        self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 8)
        self.out = nn.Linear(8, 20, bias=False)
        self.out.weight = self.table.weight
    def forward(self, tokens):
        x, _ = self.rnn(self.table(tokens))
        return self.out(x + self.one(x) + torch.tanh(self.two(x)))[:, -1]

class Pair(nn.Module):
    """Two arguments, of which one has a default; the third has one too."""
    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(6, 4), nn.Linear(3, 4), nn.Linear(4, 4)
    def forward(self, x, scale=None, y=None):
        z = self.one(x) + (0 if y is None else self.two(y))
        return z + self.three(z)

def sounds():
    x = torch.randn(64, 1, 24, generator=torch.Generator().manual_seed(0))
    return (x, (x.mean((1, 2)) > 0).long()), (x[:16], (x[:16].mean((1, 2)) > 0).long())

def sentences():
    x = torch.arange(64)[:, None].add(torch.arange(6)) % 20
    return (x, (x[:, -1] + 1) % 20), (x[:16], (x[:16, -1] + 1) % 20)
'''
NETWORKS = {
    "Sound": (["N,1,24"], {"branch-gelu", "shared-relu-shared_1"}),
    "Film": (["batch.rgb=N,3,2,6,6", "batch.flow=1,2,2,6,6"], {"rgb", "flow"}),
    "Tokens": (["int64:1,6<20"], {"one", "two-tanh"}),
    "Pair": (["N,6", "y=N,3"], {"one", "two", "three"}),
}
WITH_GRU = ["--set", "kind=GRU"]


MODULE = "networks_of_all_kinds"


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all tests: a module is imported once."""
    folder = tmp_path_factory.mktemp("trusted")
    (folder / f"{MODULE}.py").write_text(CODE)
    return folder


def words(name: str, trusted: Path, *inputs: str) -> list[str]:
    given = [word for text in inputs for word in ("--input", text)]
    return [f"{MODULE}:{name}", "--trust", str(trusted), *given]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_input_is_traced_and_its_structures_are_cut_exactly(
    nasviz: Command, trusted: Path, tmp_path: Path, name: str
) -> None:
    inputs, expected = NETWORKS[name]
    network = words(name, trusted, *inputs)
    found = json.loads(nasviz("analyze", *network, "--json").out)
    removable = {s["name"]: s["id"] for s in found["structures"] if not s["reason"]}
    assert removable.keys() == expected
    assert found["max_sparsity"] > 0
    assert len(found["network"]["inputs"]) == len(found["inputs"])
    erase = str(removable[sorted(expected)[-1]])
    cut = json.loads(
        nasviz("construct", *network, "--erase", erase, "--folder", tmp_path / "s", "--json").out
    )
    assert cut["report"]["max_relative_error"] < 1e-5 < 1e-3 < cut["report"]["effect"]


@pytest.mark.parametrize(
    ("name", "data", "text", "more"),
    [("Sound", "sounds", "N,1,24", []), ("Tokens", "sentences", "int64:N,6<20", WITH_GRU)],
)
def test_sounds_and_tokens_are_trained_down(
    nasviz: Command, trusted: Path, name: str, data: str, text: str, more: list[str]
) -> None:
    _, *options = words(name, trusted, text)
    recipe = "--epochs 2 --batch-size 16 --warmup-steps 2 --projection-steps 3 --target-sparsity 1 --lr 0.01"
    said = nasviz(
        *("train", "--model", f"{MODULE}:{name}", *options, *more),
        *("--data", f"{MODULE}:{data}", *recipe.split(), "--runs", "@runs"),
    )
    assert said.code == 0, said.err
    assert "erased" in said.out
    run = nasviz("runs", "list", "--runs", "@runs", "--json").out
    (summary,) = json.loads(run)
    shown = nasviz("runs", "show", summary["id"], "--runs", "@runs").out
    assert f"input {text}" in shown or "input N,1,24" in shown


@pytest.mark.parametrize(
    ("network", "text", "message"),
    [
        ("Sound", "1,1,24", "does not run on inputs of shape (2, 1, 1, 24)"),
        ("Sound", "int64:N,1,24", "does not run on inputs of shape (2, 1, 24)"),
        ("Pair", "z=N,6", "takes (x, scale=None, y=None), but z were given"),
        ("Pair", "y.a=N,6", "missing a required argument: 'x'"),
    ],
)
def test_what_a_network_does_not_take_is_told(
    nasviz: Command, trusted: Path, network: str, text: str, message: str
) -> None:
    said = nasviz("analyze", *words(network, trusted, text))
    assert said.code == 2
    assert message in said.err


def test_a_network_of_images_takes_no_other_input(nasviz: Command) -> None:
    said = nasviz("analyze", "demonet", "--input", "N,1,24")
    assert said.code == 2
    assert "demonet takes one image; got the input N,1,24" in said.err


@pytest.mark.parametrize(
    "text", ["3,a", "16", "1,0", "N,4<3", "uint:N,4", "a=b=N,4", "1,-3,4", "N,999999,999999"]
)
def test_a_malformed_input_is_one_line_that_names_the_option(nasviz: Command, text: str) -> None:
    said = nasviz("analyze", "m:f", "--input", text)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "--input" in said.err
