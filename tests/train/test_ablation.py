"""The ablation on digits: groups, measures and plots, on a training that is too short to be good."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import nasviz
from nasviz.draw.run_charts import ablation_chart
from nasviz.errors import UnknownNameError
from nasviz.runs.ablation import MEASURES, AblationPoint, curve, points_to_csv, read_points
from nasviz.train import ablation
from nasviz.train.ablation import digits_ablation, train_sparse

PAIRS = (("sgd", "sgl"), ("hapg", "sgl"), ("adamhapg", "lasso"))


@pytest.fixture(scope="module")
def points() -> list[AblationPoint]:
    return list(digits_ablation(seeds=[0], strengths=[1e-3, 1e-2], compared=PAIRS, epochs=3))


def test_black_is_zero_as_in_the_data_of_the_document() -> None:
    for images in (ablation._images().train, ablation._images().validation):
        x, _ = images.batch(torch.arange(len(images)))
        assert images.black() == 0
        assert x.min() == 0
        constant = x.flatten(1).std(0) == 0
        assert not x.flatten(1)[:, constant].any()
    ours = nasviz.data.load("digits", image_shape=(1, 8, 8)).train  # of runs: standardised
    assert ours.black() == pytest.approx(-0.81, abs=0.01)


def test_features_that_are_constant_go_first(points: list[AblationPoint]) -> None:
    """Of the 64 pixels 4 are black in nearly all images: the penalty removes them, and SGD nothing."""
    used = {p.series: p.features for p in points if p.threshold == 0 and p.strength == 1e-2}
    assert used["sgd, sgl"] == 64
    assert used["hapg, sgl"] < 60
    model = train_sparse("hapg", "sgl", 1e-2, epochs=3)
    pixels = ablation._images().train.batch(torch.arange(1437))[0].flatten(1)
    assert not model.linear1.weight[:, pixels.std(0) == 0].any()


def test_proximal_methods_have_exact_zeros_and_subgradients_have_none(points: list[AblationPoint]) -> None:
    exact = {p.series: p.zeros for p in points if p.threshold == 0 and p.strength == 1e-2}
    assert exact["sgd, sgl"] == 0
    assert exact["hapg, sgl"] > 0.05
    assert exact["adamhapg, lasso"] > 0.05


def test_more_of_the_penalty_gives_more_zeros(points: list[AblationPoint]) -> None:
    for series in ("hapg, sgl", "adamhapg, lasso"):
        (_, weak, _), (_, strong, _) = curve(points, series, "zeros", 0.0)
        assert strong > weak


def test_a_neuron_without_outgoing_weights_can_be_deleted() -> None:
    model = train_sparse("hapg", "sgl", 2e-2, epochs=3)
    x = torch.rand(8, 1, 8, 8)
    first, second, last = model.linear1, model.linear2, model.linear3
    used = (first.weight.any(0), second.weight.any(0), last.weight.any(0))
    assert not all(bool(kept.all()) for kept in used)
    small = nn.Sequential(
        nn.Linear(int(used[0].sum()), int(used[1].sum())),
        nn.ReLU(),
        nn.Linear(int(used[1].sum()), int(used[2].sum())),
        nn.ReLU(),
        nn.Linear(int(used[2].sum()), 10),
    )
    with torch.no_grad():
        for ours, theirs, rows, columns in (
            (small[0], first, used[1], used[0]),
            (small[2], second, used[2], used[1]),
            (small[4], last, torch.ones(10, dtype=torch.bool), used[2]),
        ):
            ours.weight.copy_(theirs.weight[rows][:, columns])
            ours.bias.copy_(theirs.bias[rows])
        torch.testing.assert_close(small(x.flatten(1)[:, used[0]]), model(x), rtol=1e-5, atol=1e-6)


def test_groups_are_inputs_and_hidden_neurons_with_their_outgoing_weights() -> None:
    model = ablation.MlpDigits()
    grouping = ablation._optimizer("hapg", model, 1e-3, 0.5).grouping
    assert grouping.sizes.tolist() == [40.0] * 64 + [20.0] * 40 + [10.0] * 20
    assert sum(w.numel() for w in ablation._weights(model)) == 3560


def test_a_training_is_repeated_to_the_bit() -> None:
    first, again = (train_sparse("adamhapg", "sgl", 1e-3, seed=3, epochs=1) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_the_table_comes_back_and_is_drawn_in_four_plots(points: list[AblationPoint]) -> None:
    assert read_points(points_to_csv(points).encode()) == points
    figure = ablation_chart(points)
    assert [note.text.replace("<br>", " ") for note in figure.layout.annotations] == list(MEASURES.values())
    assert len(figure.data) == 4 * len(PAIRS)
    zeros = next(t for t in figure.data if t.legendgroup == "hapg, sgl" and t.yaxis == "y4")
    assert list(zeros.y) == [mean for _, mean, _ in curve(points, "hapg, sgl", "zeros", 0.0)]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="no 'rmsprop' in this comparison"):
        train_sparse("rmsprop", "sgl", 1e-3)


def test_features_and_neurons_are_counted_in_whole_numbers_up_to_all(points: list[AblationPoint]) -> None:
    layout = ablation_chart(points).layout
    for axis, measure, total in ((layout.yaxis2, "features", 64), (layout.yaxis3, "neurons", 60)):
        assert isinstance(axis.dtick, int)
        low, high = axis.range
        assert low < min(getattr(point, measure) for point in points) <= total < high < total + axis.dtick
        assert axis.tick0 == total
