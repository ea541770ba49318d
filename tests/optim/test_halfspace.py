from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nasviz.errors import InvalidSettingError
from nasviz.optim.halfspace import halfspace, has_left_halfspace, progressive_factor

vectors = arrays("float64", 5, elements=st.floats(-8, 8).map(lambda v: round(v, 3))).map(torch.from_numpy)
epsilons = st.floats(0, 0.99)
X, D = torch.tensor([3.0, 4.0]), torch.tensor([2.0, 6.0])


@pytest.mark.parametrize(
    ("trial", "epsilon", "expected"),
    [
        (X - 0.1 * D, 0.0, [2.8, 3.4]),
        (X - 1.0 * D, 0.0, [0.0, 0.0]),
        (X - 0.5 * (D + 1.0 * X / X.norm()), 0.2, [1.7, 0.6]),
        (X - 0.5 * (D + 1.0 * X / X.norm()), 0.31, [0.0, 0.0]),
    ],
)
def test_worked_examples(trial, epsilon, expected):
    torch.testing.assert_close(halfspace(trial, X, epsilon), torch.tensor(expected))


@given(vectors, vectors, epsilons)
def test_projecting_twice_changes_nothing_more(trial, x, epsilon):
    once = halfspace(trial, x, epsilon)
    assert torch.equal(halfspace(once, x, epsilon), once)


@given(vectors, vectors, epsilons, epsilons)
def test_a_larger_epsilon_zeroes_a_superset(trial, x, one, other):
    low, high = sorted((one, other))
    if not halfspace(trial, x, low).any():
        assert not halfspace(trial, x, high).any()


@given(vectors, epsilons)
def test_zero_never_moves(trial, epsilon):
    assert not halfspace(trial, torch.zeros(5, dtype=torch.float64), epsilon).any()


@given(vectors, vectors, st.floats(0, 10))
def test_a_step_that_lengthens_the_group_is_never_projected(x, d, rate):
    if torch.dot(x, d) > 0:
        d = -d
    if x.any():
        assert torch.equal(halfspace(x - rate * d, x), x - rate * d)


@given(st.lists(st.tuples(vectors, vectors), min_size=1, max_size=4), epsilons)
def test_many_groups_at_once_are_judged_like_each_alone(pairs, epsilon):
    dot = torch.stack([(trial * x).sum() for trial, x in pairs])
    square = torch.stack([x.square().sum() for _, x in pairs])
    left = has_left_halfspace(dot, square, epsilon).tolist()
    for has_left, (trial, x) in zip(left, pairs, strict=True):
        expected = torch.zeros_like(x) if has_left else trial
        assert torch.equal(halfspace(trial, x, epsilon), expected)


def test_progressive_factors_shrink_in_a_straight_line_to_exactly_zero():
    norm, norms = 1.0, []
    for step in range(5):
        norm *= progressive_factor(step, 5)
        norms.append(norm)
    assert norms[:4] == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert norms[4] == 0.0


def test_a_period_of_one_step_zeroes_at_once():
    assert progressive_factor(0, 1) == 0.0


@pytest.mark.parametrize("step", [-1, 5])
def test_a_step_outside_of_the_period_is_refused(step):
    with pytest.raises(InvalidSettingError, match="outside of a projection period of 5"):
        progressive_factor(step, 5)
