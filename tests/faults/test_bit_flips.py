"""A flipped bit in a finished run is told, or changes nothing that anybody sees."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

import nasviz
from nasviz.cli import main
from nasviz.cli.exporting import check
from nasviz.cli.reports import run_lines, summary_document
from nasviz.errors import NasvizError, UncheckedFilesWarning, WeightsError
from nasviz.runs import Run, Store, steps_to_csv


def is_of_the_run(path: Path) -> bool:
    """Leave out the files that SQLite makes while a reader is at work, and takes away itself."""
    return path.is_file() and not path.name.startswith("run.db-")


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def shown(run: Run) -> dict[str, Any]:
    """All that a person sees of a run: weights, numbers, texts."""
    (summary,) = Store(run.folder.parent).list()
    assert summary.problem is None, summary.problem
    weights = nasviz.load(run.folder / "subnet").state_dict()
    best = torch.load(run.folder / "best.pt", weights_only=True)["network"]
    return {
        "weights": {name: tensor.numpy().tobytes() for name, tensor in weights.items()},
        "best": {name: tensor.numpy().tobytes() for name, tensor in best.items()},
        "summary": {k: v for k, v in summary_document(summary).items() if k != "folder"},
        "lines": [line for line in run_lines(run) if "folder" not in line],
        "csv": steps_to_csv(run),
        "model.py": (run.folder / "subnet" / "model.py").read_bytes(),
        "report.json": (run.folder / "subnet" / "report.json").read_bytes(),
    }


@pytest.mark.parametrize("flips", [60, pytest.param(200, marks=pytest.mark.slow)])
def test_of_flipped_bits_none_is_unnoticed(
    straight: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], flips: int
) -> None:
    """Flip bits in every file of the run several times."""
    chance = random.Random(7)
    runs = tmp_path / "runs"
    copy = runs / straight.id
    shutil.copytree(straight.folder, copy)
    files = sorted(p.relative_to(copy) for p in copy.rglob("*") if is_of_the_run(p) and p.stat().st_size)
    expected = shown(Run(copy))
    assert {str(f) for f in files} >= {"end.json", "best.pt", "run.db", "subnet/weights.safetensors"}
    assert flips > 2 * len(files)
    counts: Counter[str] = Counter()
    for number in range(flips):
        name = files[number % len(files)]
        whole = (copy / name).read_bytes()
        flip(copy / name, chance.randrange(8 * len(whole)))
        try:
            check(Run(copy))
        except NasvizError as error:
            counts["told"] += 1
            counts["told in several lines"] += "\n" in str(error)
        else:
            assert shown(Run(copy)) == expected, f"a flipped bit in {name} was not noticed"
            counts["harmless"] += 1
            counts[f"harmless in {name}"] += 1
        for left in copy.glob("run.db-*"):
            left.unlink()
        (copy / name).write_bytes(whole)
    with capsys.disabled():
        print(f"\n{flips} flipped bits over {len(files)} files: {dict(counts)}, unnoticed: 0")
    assert counts["told"] > flips // 2
    assert not counts["told in several lines"]


def test_a_damaged_network_is_neither_loaded_nor_exported(
    straight: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "runs" / straight.id
    shutil.copytree(straight.folder, copy)
    weights = copy / "subnet" / "weights.safetensors"
    flip(weights, 8 * (weights.stat().st_size - 1) + 5)  # an exponent, of the last number
    with pytest.raises(WeightsError, match=r"weights\.safetensors is damaged"):
        nasviz.load(copy / "subnet")
    assert main(["export", str(copy), "--onnx", str(tmp_path / "m.onnx")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "weights.safetensors is damaged" in said
    assert not (tmp_path / "m.onnx").exists()


def test_a_run_without_checksums_says_so_and_is_compared_with_its_full_network(
    straight: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As version 0.1 has left them."""
    import json

    copy = tmp_path / "runs" / straight.id
    shutil.copytree(straight.folder, copy)
    (copy / "subnet" / "checksums.json").unlink()
    end = json.loads((copy / "end.json").read_text())
    del end["files"], end["sha256"]
    (copy / "end.json").write_text(json.dumps(end))
    with pytest.warns(UncheckedFilesWarning, match=r"holds no checksums\.json"):
        nasviz.load(copy / "subnet")
    assert main(["export", str(copy), "--folder", str(tmp_path / "whole")]) == 0
    said = capsys.readouterr().out
    assert "cannot be verified" in said
    assert "the stored full network" in said
    nasviz.load(tmp_path / "whole")

    weights = copy / "subnet" / "weights.safetensors"
    flip(weights, 8 * (weights.stat().st_size - 1) + 5)
    assert main(["export", str(copy), "--folder", str(tmp_path / "damaged")]) == 2
    assert "does not compute what its stored full network computes" in capsys.readouterr().err
    assert not (tmp_path / "damaged").exists()
