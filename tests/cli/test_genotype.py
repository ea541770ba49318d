"""`nasviz genotype`: the cells of a search on NAS-Bench-201, as text, data, Graphviz source and picture."""

from __future__ import annotations

import json
import re
from pathlib import Path

from nasviz.runs import Run
from tests.cli.conftest import Command

CELLS = "nas_bench_201 --input 1,8,8 --set channels=2 --set cells=1".split()
SHORT = "--epochs 1 --batch-size 256 --device cpu --quiet --runs @runs".split()


def only_run(folder: Path) -> str:
    (name,) = (p.name for p in (folder / "runs").iterdir() if p.is_dir() and not p.name.startswith("."))
    return name


def test_a_search_of_cells_is_shown_in_the_form_of_its_paper(nasviz: Command, tmp_path: Path) -> None:
    options = "--optimizer darts --edges-per-node 0 --architecture-lr 0.1 --warmup-steps 1".split()
    assert nasviz("train", "--model", *CELLS, *options, *SHORT).code == 0
    name = only_run(tmp_path)
    said = nasviz("genotype", name, "--runs", "@runs", "--dot", tmp_path / "dot", "--svg", tmp_path / "svg")
    text, words, decided = said.out.splitlines()
    operation = r"(skip_connect|nor_conv_1x1|nor_conv_3x3|avg_pool_3x3)"
    nodes = ["".join(rf"{operation}~{s}\|" for s in range(node + 1)) for node in range(3)]
    assert re.fullmatch(r"\+".join(rf"\|{node}" for node in nodes), text), text
    assert re.search(r"\d of \d choices; the largest share is 0\.\d+", decided)
    assert words == "(cell: 6 of 24 operations, single-path, the same in 3 cells)"
    assert (tmp_path / "svg" / "cell-cell.svg").read_text().count("<svg") == 1
    dot = (tmp_path / "dot" / "cell-cell.dot").read_text()
    assert dot.count(" -> ") == 7  # six operations, and what the cell hands on
    (cell,) = json.loads(nasviz("genotype", name, "--runs", "@runs", "--json").out)["cells"]
    weights = [edge["weight"] for edge in cell["edges"]]
    assert all(abs(sum(weights[i : i + 4]) - 1) < 1e-5 for i in range(0, 24, 4))


def test_a_run_without_cells_says_what_cells_are(nasviz: Command, done: Run) -> None:
    said = nasviz("genotype", done.id, "--runs", "@runs")
    assert said.code == 2
    assert "Cell" in said.err
