"""The comparison on digits: what it chooses, how it goes on after a kill, and how it adds up."""

from __future__ import annotations

import json

import pytest
import torch

import nasviz
from tests.science import digits, training
from tests.science.networks import NETWORKS
from tests.science.table import markdown, rank_correlation


@pytest.fixture(scope="module", params=NETWORKS)
def space(request):
    return nasviz.search_space(nasviz.trace(NETWORKS[request.param](), torch.randn(2, 1, 8, 8)))


def test_the_networks_are_those_of_the_description(space):
    assert (len(space.removable), space.max_sparsity) in {(6, 4), (12, 9)}


def test_sizes_are_shares_of_the_largest_k_or_come_closest_to_half_of_the_parameters(space):
    scores = {s.id: float(s.num_parameters) for s in space.removable}
    counts = {size: len(digits.chooser(size)(space, scores)) for size in digits.SIZES}
    assert counts["K_max"] == space.max_sparsity
    assert counts["half of K_max"] == -(-space.max_sparsity // 2)
    half = space.trace.num_parameters / 2
    after = [space.plan(space.select(scores, k)).params_after for k in range(space.max_sparsity + 1)]
    ratios = [max(a / half, half / a) for a in after]
    assert ratios[counts["half of the parameters"]] == min(ratios)


def test_a_line_that_a_kill_cut_off_is_left_out_and_the_next_one_is_whole(tmp_path):
    path = tmp_path / "results.jsonl"
    assert digits.read(path) == []
    path.write_text('{"seed": 0}\n{"seed": 1, "acc')
    assert digits.read(path) == [{"seed": 0}]
    with path.open("a") as file:
        file.write(json.dumps({"seed": 2}) + "\n")
    assert digits.read(path) == [{"seed": 0}, {"seed": 2}]


def test_what_is_known_is_not_trained_again_and_equal_selections_are_trained_once(monkeypatch):
    trained = []

    class Known:
        def judge(self, erased=None, fine_tuning_steps=0):
            return {"selected": list(trained[-1] if erased is None else erased), "accuracy": 0.5}

        def magnitudes(self):
            return {s.id: float(s.id) for s in self.study.space.removable}

    class Study:
        def __init__(self, network, seed):
            self.space = nasviz.search_space(nasviz.trace(NETWORKS[network](), torch.randn(2, 1, 8, 8)))

        def scores(self, saliency):
            return {s.id: float(s.id) for s in self.space.removable}

        def train(self, erased=()):
            trained.append(tuple(sorted(erased)))
            known = Known()
            known.study = self
            return known

    monkeypatch.setattr(digits, "Study", Study)
    network = next(iter(NETWORKS))
    rows = list(digits.results(network, 0, []))
    keys = [(row["method"], row["size"]) for row in rows]
    assert len(keys) == len(set(keys)) == 1 + 3 * (2 + len(digits.SALIENCIES))
    assert len(trained) == len(set(trained)) <= 4  # the full network, and one for each size
    trained.clear()
    assert list(digits.results(network, 0, rows)) == []
    assert trained == []


def test_the_table_has_mean_and_deviation_over_the_seeds():
    row = {"network": "n", "size": "K_max", "method": "taylor", "selected": [1], "parameters": 10, "macs": 5}
    rows = [row | {"seed": s, "accuracy": a, "latency_share": 0.5} for s, a in enumerate((0.8, 0.9))]
    assert "| n | K_max | taylor | 1 | 85.0 ± 7.1 (2) | 10 | 5 | 0.50 |" in markdown(rows)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((1, 2, 3), (4, 5, 6), 1.0),
        ((1, 2, 3), (3, 2, 1), -1.0),
        ((1, 1, 2), (1, 1, 2), 1.0),
        ((1, 1), (1, 2), 0),
    ],
)
def test_rank_correlation(one, other, expected):
    assert rank_correlation(one, other) == pytest.approx(expected)


def test_channels_are_compared_like_structures(monkeypatch):
    for name, steps in (("STEPS", 6), ("WARM_UP_STEPS", 2), ("PROJECTION_STEPS", 3)):
        monkeypatch.setattr(training, name, steps)
    monkeypatch.setattr(digits, "SALIENCIES", ("snip",))
    rows = list(digits.slim_results("residual network", 0, []))
    assert [row["size"] for row in rows] == ["", *digits.SHARES]
    assert [len(row["selected"]) > 0 for row in rows] == [False, True, True]
    assert rows[0]["parameters"] > rows[1]["parameters"] > rows[2]["parameters"]
    assert all(row["max_relative_error"] < 1e-4 for row in rows)
    assert list(digits.slim_results("residual network", 0, rows)) == []
