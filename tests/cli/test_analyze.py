"""`nasviz analyze` says what the search space says, in text and as JSON, and refuses in one line."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nasviz import models
from nasviz.catalog import NetworkSource
from tests import mixed_network
from tests.cli.conftest import SMALL, Command


def test_text_names_every_structure_and_why_the_rest_stays(nasviz: Command) -> None:
    said = nasviz("analyze", "demonet")
    assert said.code == 0
    assert not said.err
    for words in ("817,010", "208,871,584", "K_max        4", "10  conv8-bn8", "conv1, bn1, relu1"):
        assert words in said.out


def test_json_holds_the_same_facts(nasviz: Command) -> None:
    said = nasviz("analyze", *SMALL, "--json", "--protect", "conv8")
    found = json.loads(said.out)
    assert (found["max_sparsity"], found["removable"], found["segments"]) == (4, 5, 13)
    assert found["inputs"] == [[-1, 1, 8, 8]]
    structures = {s["name"]: s for s in found["structures"]}
    assert structures["conv8-bn8"]["reason"] == "you protected it"
    assert structures["conv2-bn2"]["saved_parameters"] > structures["conv2-bn2"]["parameters"]
    assert set(found["parity"]) == {"eval", "batch", "train", "buffers"}
    assert found["reasons"]["linear9"]
    fixed = found["fixed_axes"]["images"]
    assert sorted([*map(str, found["free_axes"]["images"]), *fixed]) == ["0", "1", "2", "3"]
    assert "conv1 (demonet.py:" in fixed["1"]
    assert list(found["partition"]["groups"]) == ["1", "2", "5", "6", "9"]  # G_s, without conv8


def test_every_graph_is_drawn(nasviz: Command, tmp_path: Path) -> None:
    said = nasviz("analyze", *SMALL, "--drawings", tmp_path / "drawn")
    assert said.code == 0
    assert "variables    G_s: " in said.out
    names = ("dependency-graph", "segment-graph", "trace-graph", "variable-partition")
    assert sorted(p.stem for p in (tmp_path / "drawn").glob("*.svg")) == list(names)
    assert "conv6" in (tmp_path / "drawn" / "variable-partition.dot").read_text()


def test_settings_and_printed_numbers_stand_beside_the_facts(nasviz: Command) -> None:
    assert "published    params 0.82 M (ASGNAS, table 1)" in nasviz("analyze", "demonet").out
    narrow = nasviz("analyze", "demonet", "--set", "width=0.25").out
    assert "settings     width=0.25" in narrow
    assert "published" not in narrow


def test_trained_weights_and_classes_are_taken(nasviz: Command, tmp_path: Path) -> None:
    model, _ = models.build(NetworkSource("demonet", num_classes=3, settings={"width": 0.1}))
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    arguments = ("analyze", *SMALL, "--weights", tmp_path / "weights.safetensors")
    assert nasviz(*arguments, "--classes", 3).code == 0
    said = nasviz(*arguments)
    assert said.code == 2
    assert "linear9.weight (3, 14) for (10, 14)" in said.err


def test_user_code_is_analyzed_from_a_trusted_folder(nasviz: Command, tmp_path: Path) -> None:
    (tmp_path / "command_line_network.py").write_text(
        "from torch import nn\n"
        "class Residual(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.stem, self.branch = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, padding=1)\n"
        "    def forward(self, x):\n"
        "        x = self.stem(x)\n"
        "        return x + self.branch(x)\n"
    )
    name = "command_line_network:Residual"
    said = nasviz("analyze", name, "--trust", tmp_path, "--input", "1,3,8,8", "--json")
    assert [s["name"] for s in json.loads(said.out)["structures"] if not s["reason"]] == ["branch"]
    said = nasviz("analyze", name, "--input", "3,8,8")
    assert said.code == 2
    assert "--trust DIR" in said.err


def test_what_is_frozen_stays_unless_it_may_be_removed(nasviz: Command, tmp_path: Path) -> None:
    (tmp_path / "frozen_network.py").write_text(
        "from torch import nn\n"
        "class Frozen(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.stem, self.branch = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, padding=1)\n"
        "        self.branch.requires_grad_(False)\n"
        "    def forward(self, x):\n"
        "        x = self.stem(x)\n"
        "        return x + self.branch(x)\n"
    )
    words = ("frozen_network:Frozen", "--trust", tmp_path, "--input", "1,3,8,8", "--json")
    kept, removable = (
        json.loads(nasviz("analyze", *words, *more).out) for more in ((), ("--frozen", "Removable"))
    )
    assert (kept["removable"], removable["removable"]) == (0, 1)
    assert "branch" in str([s["reason"] for s in kept["structures"] if s["name"] == "branch"])


def test_modules_are_collapsed_and_gates_and_switchable_operations_listed(
    nasviz: Command, tmp_path: Path
) -> None:
    name = mixed_network.source(tmp_path).name
    arguments = ("analyze", name, "--trust", tmp_path, "--input", "1,8,8")
    apart, collapsed = (
        json.loads(nasviz(*arguments, *more, "--json").out)
        for more in ((), ("--collapse", "FactorizedReduce"))
    )
    assert (apart["removable"], collapsed["removable"]) == (5, 3)
    assert (apart["collapsed"], collapsed["collapsed"]) == ({}, {"reduce": "FactorizedReduce"})
    (gate,) = collapsed["gates"]
    assert (gate["value"], gate["product"], gate["saved_parameters"]) == (0.5, "mul", gate["parameters"])
    assert collapsed["switchable"] == ["pool", "identity add_1 → add_2"]
    assert collapsed["with_switches"] is None, "counted only when asked"
    counted = json.loads(nasviz(*arguments, "--switchable", "--json").out)
    assert (counted["removable"], counted["with_switches"]["removable"]) == (5, 7)
    assert counted["with_switches"]["max_sparsity"] >= counted["max_sparsity"]
    text = nasviz(*arguments, "--collapse", "red*").out
    assert "1 modules are one vertex each: reduce" in text
    assert "gates: each may be replaced by its value at zero" in text
    assert "as a gate it may be replaced by its value at zero, 0.5: gate.mean" in text


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["demonett"], "nearest: demonet"),
        (["alexnet", "--input", "3,32,32"], "63x63"),
        (["demonet", "--set", "depth=3"], "no setting 'depth'"),
        (["demonet", "--weights", "/absent.pt"], "no file of weights"),
        (["demonet", "--protect", "conv99"], "cannot protect 'conv99'"),
        (["demonet", "--collapse", "Cell"], "cannot collapse 'Cell'"),
        (["../demonet"], "is not a network"),
        (["a\x1b[31m:b"], "is not a network"),
    ],
)
def test_what_goes_wrong_is_one_line_and_code_2(nasviz: Command, arguments: list[str], word: str) -> None:
    said = nasviz("analyze", *arguments)
    assert said.code == 2
    assert word in said.err
    assert said.err.startswith("nasviz: ")
    assert said.err.count("\n") == 1
    assert "\x1b" not in said.err
    assert not said.out


@pytest.mark.parametrize("words", [["--input", "3,a"], ["--set", "width"], ["--classes", "x"], []])
def test_misspelled_arguments_are_one_line_that_names_the_help(words: list[str], nasviz: Command) -> None:
    said = nasviz("analyze", *(["demonet", *words] if words else []))
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "`nasviz analyze --help`" in said.err


def test_analysis_leaves_torchs_generator_alone(nasviz: Command) -> None:
    before = torch.get_rng_state()
    nasviz("analyze", *SMALL)
    assert torch.equal(before, torch.get_rng_state())


def test_latency_is_measured_on_demand(nasviz: Command) -> None:
    found = json.loads(nasviz("analyze", *SMALL, "--latency", "4", "--json").out)
    assert found["latency"]["batch_size"] == 4
    assert found["latency"]["whole_ms"] > 0
    saved = {s["name"]: s["saved_ms"] for s in found["structures"]}
    assert all(0 < ms < found["latency"]["whole_ms"] for ms in saved.values())
    said = nasviz("analyze", *SMALL, "--latency", "2").out
    assert "ms for a batch of 2 on" in said
    assert "saves ms" in said
    assert "latency" not in json.loads(nasviz("analyze", *SMALL, "--json").out)
