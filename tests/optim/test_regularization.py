from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nasviz.errors import InvalidSettingError
from nasviz.optim import H2SPGOTOv3, Selection, TensorGroup
from nasviz.optim.h2spg import Regularization
from tests.optim.problems import BASES

SGD, ADAM = Regularization(1e-3, 2, 10), Regularization(1e-2, 20, 1e3)
X, D = torch.tensor([3.0, 4.0]), torch.tensor([-1.0, 0.5])
vectors = arrays("float64", 4, elements=st.floats(-8, 8).map(lambda v: round(v, 2))).map(torch.from_numpy)


def coefficient(rule, x, d):
    dot, norm, direction_norm = torch.dot(x, d), x.norm(), d.norm()
    return rule.coefficients(dot.view(1), norm.view(1), direction_norm.view(1)).item()


@pytest.mark.parametrize(
    ("rule", "x", "d", "expected"),
    [
        (ADAM, X, D, 4.0),  # amplified: below the upper end 6.25
        (SGD, X, D, 0.01),  # capped below 0.2: the group may grow
        (SGD, X, -D, 1e-3),  # the loss shrinks it by itself
        (Regularization(1e-2, 200, 1e4), X, D, (0.2 + 6.25) / 2),  # too much: the middle
        (SGD, torch.zeros(2), D, 1e-3),
        (SGD, X, torch.zeros(2), 1e-3),
    ],
)
def test_worked_examples_of_lambda(rule, x, d, expected):
    assert coefficient(rule, x, d) == pytest.approx(expected, rel=1e-6)


def test_the_worked_direction_shortens_and_descends():
    u = -(D + 0.5 * X / X.norm())
    assert torch.dot(u, X).item() == pytest.approx(-1.5)
    assert torch.dot(u, D).item() == pytest.approx(-1.15)


@given(vectors, vectors, st.floats(0.01, 0.99))
def test_between_its_ends_every_lambda_shortens_and_descends(x, d, place):
    assume(torch.dot(x, d) < 0 and x.norm() > 0)
    lowest, highest = -torch.dot(x, d) / x.norm(), -(d.norm() ** 2) * x.norm() / torch.dot(x, d)
    assert lowest <= highest * (1 + 1e-12)  # Cauchy and Schwarz
    assume(highest > lowest * (1 + 1e-6))
    u = -(d + (lowest + place * (highest - lowest)) * x / x.norm())
    assert torch.dot(u, x) < 0
    assert torch.dot(u, d) < 0


@given(vectors, vectors)
def test_an_uncapped_lambda_lies_between_its_ends(x, d):
    assume(torch.dot(x, d) < 0 and x.norm() > 0)
    lowest, highest = -torch.dot(x, d) / x.norm(), -(d.norm() ** 2) * x.norm() / torch.dot(x, d)
    found = coefficient(Regularization(0.0 + 1e-12, 20, 1e30), x, d)
    assert lowest * (1 - 1e-9) <= found <= highest * (1 + 1e-9)


def optimizer_of(x, lr=0.1, **settings):
    group = TensorGroup((x,))
    return H2SPGOTOv3(
        torch.optim.SGD([x], lr=lr),
        {1: group},
        lambda scores: Selection((1,), members={1: group}),
        warmup_steps=1,
        **settings,
    )


def test_one_step_is_the_subgradient_step_of_psi():
    x = X.clone()
    optimizer = optimizer_of(x, regularization=1e-2, amplify=20, cap=1e3)
    optimizer.step()  # the warm-up, without a gradient
    x.grad = D.clone()
    optimizer.step()
    torch.testing.assert_close(x, X - 0.1 * (D + 4.0 * X / 5))


def test_with_the_published_values_over_sgd_a_group_may_grow():
    x = X.clone()
    optimizer = optimizer_of(x)
    optimizer.step()
    x.grad = D.clone()
    optimizer.step()
    assert x.norm() > 5


def test_groups_with_several_learning_rates_are_moved_by_each():
    one, two = torch.tensor([3.0]), torch.tensor([4.0])
    group = TensorGroup((one, two))
    inner = torch.optim.SGD([{"params": [one], "lr": 0.1}, {"params": [two], "lr": 0.2}])
    optimizer = H2SPGOTOv3(
        inner,
        {1: group},
        lambda scores: Selection((1,), members={1: group}),
        warmup_steps=1,
        regularization=1e-2,
        amplify=20,
        cap=1e3,
    )
    optimizer.step()
    one.grad, two.grad = D[:1].clone(), D[1:].clone()
    optimizer.step()
    assert one.item() == pytest.approx(3 - 0.1 * (-1 + 4 * 0.6))
    assert two.item() == pytest.approx(4 - 0.2 * (0.5 + 4 * 0.8))


@pytest.mark.parametrize("projection_steps", [None, 3])
def test_nothing_is_forced_unless_a_number_of_steps_is_given(projection_steps):
    x = X.clone()
    optimizer = optimizer_of(x, projection_steps=projection_steps)
    for _ in range(6):
        x.grad = torch.zeros(2)
        optimizer.step()
    is_forced = projection_steps is not None
    assert optimizer.zeroed_by == ({1: "end of projection"} if is_forced else {})
    assert optimizer.phase == ("training" if is_forced else "projection")
    assert bool(x.any()) is not is_forced


def test_regularisation_ends_with_the_last_group_and_zero_stays_zero():
    x, y = torch.tensor([0.03, 0.04]), torch.tensor([1.0, 1.0])
    group = TensorGroup((x,))
    optimizer = H2SPGOTOv3(
        BASES["sgd"]([x, y]),
        {1: group, 2: TensorGroup((y,))},
        lambda scores: Selection((1,), members={1: group}),
        warmup_steps=1,
        regularization=0.2,
    )
    for _ in range(12):
        x.grad, y.grad = torch.zeros(2), torch.zeros(2)
        optimizer.step()
    assert optimizer.zeroed_by == {1: "half-space"}
    assert optimizer.phase == "training"
    x.grad, y.grad = torch.ones(2), torch.ones(2)
    optimizer.step()
    assert x.tolist() == [0.0, 0.0]
    assert y.tolist() == pytest.approx([0.9, 0.9])


@pytest.mark.parametrize("name", ["regularization", "amplify", "cap"])
def test_values_below_zero_are_refused(name):
    with pytest.raises(InvalidSettingError, match=f"{name}=-1"):
        optimizer_of(X.clone(), **{name: -1.0})
