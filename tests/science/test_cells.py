"""The comparison of cells: what is judged, exactness, resumption, and its table."""

from __future__ import annotations

import torch

from tests.science.cell_search import CellStudy, Steps
from tests.science.cell_table import markdown

SHORT = Steps(search=2, retrain=2, epoch=1)


def test_a_search_a_pruning_and_a_sub_network_of_equal_size_are_judged_alike() -> None:
    torch.set_num_threads(1)
    study = CellStudy(0, SHORT)
    rarts = {"method": "RARTS", "seed": 0} | study.softmax("rarts")
    pruned = {"method": "GSparsity", "mu": 0.1, "seed": 0} | study.gsparsity(0.1)
    beside = {"method": "H2SPG", "seed": 0} | study.h2spg(rarts["parameters"])
    assert sum(rarts["kept"].values()) == 12  # one operation on six edges of two cells
    assert pruned["survivors"] == pruned["groups"] == 48
    assert [row["pruned"] for row in pruned["pruned_at"].values()] == [0, 0, 0]
    assert abs(beside["parameters"] - rarts["parameters"]) < 700  # about one convolution
    for row in (rarts, pruned, beside):
        assert row["max_relative_error"] < 1e-5
        assert 0 <= row["accuracy"] <= 1
    table = markdown([rarts, pruned, beside])
    assert table.count("| RARTS |") == 1
    assert "| 0.1 | 48 of 48 | +0.0 | +0.0 | +0.0 |" in table
