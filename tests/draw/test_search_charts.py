"""Figures of searches show what was recorded, and nothing else."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nasviz.draw.geometry import convergence_chart, figure_2_1_chart
from nasviz.draw.search_charts import axes_of, penalty_chart, pruning_chart, sparsity_chart, weights_chart
from nasviz.graph.cells.genotypes import CellEdge, CellGraph
from nasviz.runs import Cell, Spread
from nasviz.runs.records import Vectors


def cell_of(point: dict[str, object], accuracy: float, survivors: float) -> Cell:
    metrics = {"accuracy_subnet": Spread(accuracy, 0.01, 3), "survivors": Spread(survivors, float("nan"), 1)}
    return Cell(point, (0,), Counter(done=1), 0, 0, 0, metrics)


def test_each_operation_has_a_line_in_the_chart_of_its_edge() -> None:
    edges = (
        CellEdge(0, 0, "conv", "a", 4),
        CellEdge(0, 0, "<pool>", "b", 7),
        CellEdge(1, 1, "conv", "c", 9),
        CellEdge(0, 1, "skip", "d", None),
    )
    cell = CellGraph("cells.0", "Cell", "normal", 1, 2, edges, (1,))
    values = np.array([[0.5, 0.25, 0.1], [0.6, 0.15, 0.2]], np.float32)
    figure = weights_chart(cell, Vectors(np.array([0, 10]), values, (4, 7, 9)), "Weight")
    shown = {(line.name, line.xaxis): list(line.y) for line in figure.data}
    assert list(shown) == [("conv", "x"), ("&lt;pool&gt;", "x"), ("conv", "x2")]
    assert shown["&lt;pool&gt;", "x"] == pytest.approx([0.25, 0.15])
    assert [title.text for title in figure.layout.annotations] == ["x → 0", "0 → 1"]
    assert [line.showlegend for line in figure.data] == [True, True, False]  # one entry per operation


def test_sparsity_and_accuracy_are_drawn_over_a_setting_line_by_line() -> None:
    cells = [
        cell_of({"mu": mu, "rho": rho, "network": {"name": "demonet"}}, 0.9 - mu / 100, 20 - mu)
        for rho in (0.8, 0.9)
        for mu in (10.0, 0.1, 1.0)
    ]
    assert axes_of(cells) == ("mu", "rho")
    figure = penalty_chart(cells, "mu", "μ")
    lines = [line for line in figure.data if len(line.x)]
    assert {line.name for line in lines} == {"rho 0.8, demonet", "rho 0.9, demonet"}
    first = next(line for line in lines if line.xaxis == "x3")
    assert (list(first.x), list(first.y)) == ([0.1, 1.0, 10.0], [19.9, 19.0, 10.0])
    assert figure.layout.xaxis.type == "log"
    assert [title.text for title in figure.layout.annotations][2] == "Groups kept"


@pytest.mark.parametrize("kind", ["threshold", "fraction"])
def test_accuracy_and_groups_are_drawn_over_the_threshold(kind: str) -> None:
    rows = [{"threshold": t, "pruned": p, "accuracy": a} for t, p, a in ((1e-6, 0, 0.9), (0.5, 24, 0.1))]
    found = {"accuracy": 0.91, "thresholds": rows, "groups": 24, "kind": kind}
    after, pruned, before, total = pruning_chart(found).data
    assert (list(after.x), list(after.y), list(pruned.y)) == ([1e-6, 0.5], [0.9, 0.1], [0, 24])
    assert (set(before.y), set(total.y)) == ({0.91}, {24})
    assert (pruning_chart(found).layout.xaxis.type == "log") == (kind == "threshold")


def test_lambda_zeros_and_nodes_are_drawn_over_steps() -> None:
    figure = sparsity_chart([[0, 0.0, 0, 0], [11, 0.01, 2, 0], [22, 0.02, 9, 1]])
    assert [list(line.x) for line in figure.data] == [[0, 11, 22]] * 3
    assert [list(line.y) for line in figure.data] == [[0.0, 0.01, 0.02], [0, 2, 9], [0, 0, 1]]


def test_bounds_are_dashed_beside_the_curve_they_bound() -> None:
    names = ("gap", "linear_bound", "sublinear_bound", "sampled_gap", "sampled_bound", "objective", "error")
    found = {name: [3.0, 2.0, 1.0] for name in names}
    found |= {"steps": [0, 1, 9], "noise_floor": 0.5, "limit_error": 0.1}
    lines = {line.name: line for line in convergence_chart(found).data}
    assert list(lines["Lagrangian − minimum"].x) == [1, 9]  # iteration 0 has no place on a log axis
    curve, bound = lines["mean of 200 runs"], lines["bound of Corollary 2.8"]
    assert (curve.line.color, bound.line.dash) == (bound.line.color, "dash")


def test_figure_2_1_draws_both_copies_of_the_weights() -> None:
    path = {"path": [[-2, 0, 2], [1, 0.9, 1.1]], "limit": [1, 0.9, 1.1]}
    alone = {"path": [[-2, -2, 2], [2, 2, 2]], "limit": [2, 2, 2]}
    figure = figure_2_1_chart({"panels": [{"title": "t", "paths": {"λ = 1": path}}], "darts": alone})
    dotted = [line for line in figure.data if line.line.dash == "dot" and line.mode == "lines"]
    assert [list(line.x) for line in dotted] == [[0, 0.9]]  # u of RARTS; DARTS has one set of weights
