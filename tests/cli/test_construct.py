"""`nasviz construct` cuts by hand what `nasviz analyze` numbers, and proves it."""

import json
from pathlib import Path

import pytest
import torch

import nasviz as library
from tests import mixed_network
from tests.cli.conftest import SMALL, Command


def test_a_gate_and_a_collapsed_module_are_cut_exactly(nasviz: Command, tmp_path: Path) -> None:
    name = mixed_network.source(tmp_path / "trust").name
    words = ("--trust", tmp_path / "trust", "--input", "1,8,8", "--collapse", "FactorizedReduce")
    found = json.loads(nasviz("analyze", name, *words, "--json").out)
    (structure,) = [s["id"] for s in found["structures"] if s["name"] == "reduce"]
    (gate,) = found["gates"]

    target = tmp_path / "smaller"
    said = nasviz("construct", name, *words, "--erase", structure, "--gate", gate["id"], "--folder", target)

    assert said.code == 0
    for line in (
        "erased      reduce\n",
        f"gates       {gate['name']}, replaced by 0.5",
        "largest relative difference",
    ):
        assert line in said.out
    small = library.load(target)
    assert not any("reduce" in name or "gate" in name for name, _ in small.named_parameters())
    assert small(torch.zeros(3, 1, 8, 8)).shape == (3, 10)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "nothing is to be cut"),
        (["--erase", "99"], "no removal structure 99"),
        (["--gate", "1"], "no gate 1; this network has none"),
        (["--erase", "9", "--erase", "10"], "cuts something required off"),
    ],
)
def test_what_cannot_be_cut_is_one_line_and_writes_nothing(
    nasviz: Command, tmp_path: Path, words: list[str], says: str
) -> None:
    said = nasviz("construct", *SMALL, *words, "--folder", tmp_path / "cut")
    assert (said.code, said.out) == (2, "")
    assert says in said.err
    assert not (tmp_path / "cut").exists()


def test_a_folder_that_holds_something_is_left_alone(nasviz: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    said = nasviz("construct", *SMALL, "--erase", 10, "--folder", tmp_path)
    assert said.code == 2
    assert "not empty" in said.err
    assert [item.name for item in tmp_path.iterdir()] == ["mine.txt"]
