from __future__ import annotations

import pytest
import torch

from nasviz.errors import InvalidSettingError, UnknownNameError
from nasviz.saliency import (
    SALIENCIES,
    Reductions,
    Saliency,
    StructureIndex,
    documents,
    find,
    magnitude,
    taylor,
)
from nasviz.saliency.scores import cosine, hesso, running_average, snip

X = [torch.tensor([3.0, 4.0]), torch.full((4,), 0.1), torch.tensor([1.0, 0.0])]
D = [torch.tensor([-1.0, 0.5]), torch.tensor([0.2, 0.1, 0.1, 0.2]), torch.tensor([0.0, 1.0])]


@pytest.fixture
def example():
    index = StructureIndex({i: [x] for i, x in enumerate(X, start=1)})
    return Reductions(index, X, D, D)


def test_the_worked_example_of_the_documents_score(example):
    cosine = example.direction_dot / (example.norm * example.direction_norm)
    assert cosine.tolist() == pytest.approx([-0.178885, 0.948683, 0.0], abs=1e-6)
    assert magnitude(example).tolist() == pytest.approx([2.5, 0.05, 0.5])
    scores = documents(example)
    assert scores.tolist() == pytest.approx([0.582844, -0.481537, 0.098039], abs=1e-6)
    assert scores.argsort().add(1).tolist() == [2, 3, 1]


def test_the_redundancy_of_dhspg_orders_the_example_the_other_way_round(example):
    cosine = example.direction_dot / (example.norm * example.direction_norm)
    inverse = 1 / (magnitude(example) + 1e-6)
    redundancy = cosine / cosine.norm() / 2 + inverse / inverse.norm() / 2
    assert redundancy.tolist() == pytest.approx([-0.082700, 0.988761, 0.049743], abs=1e-6)
    assert redundancy.argsort(descending=True).tolist() == documents(example).argsort().tolist()


def test_the_other_scores_of_the_worked_example(example):
    assert cosine(example).tolist() == pytest.approx([0.178885, -0.948683, 0.0], abs=1e-6)
    assert snip(example).tolist() == pytest.approx([5.0, 0.06, 0.0])
    five = torch.tensor(
        [
            [5.0, 0.2, 1.0],  # the norm
            [2.5, 0.05, 0.5],  # the average magnitude
            [1.178885, 0.051317, 1.0],  # 1 - cosine
            [1.0, 0.06, 0.0],  # |<x, d>|
            [0.5, 0.0018, 0.0],  # its square by two
        ]
    )
    expected = (five / five.norm(dim=1, keepdim=True)).mean(dim=0)
    assert hesso(example).tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_a_structure_that_the_step_draws_to_zero_is_redundant_by_cosine():
    x = [torch.tensor([1.0, 2.0])] * 2
    index = StructureIndex({1: [x[0]], 2: [x[1].clone()]})
    scores = cosine(Reductions(index, x, [None, None], [x[0], -x[1]]))
    assert scores.tolist() == pytest.approx([-1.0, 1.0])


def test_taylor_is_the_change_of_the_loss_to_first_order():
    x = torch.tensor([0.3, -0.2], requires_grad=True)
    loss = (torch.tensor([1.0, 4.0]) * x).sum()
    loss.backward()
    index = StructureIndex({1: [x.detach()]})
    score = taylor(Reductions(index, index.tensors, [x.grad], [None]))
    assert score.item() == pytest.approx(abs(loss.item()))


def test_zero_structures_and_missing_gradients_have_no_cosine():
    index = StructureIndex({1: [torch.zeros(2)], 2: [torch.ones(2)]})
    scores = documents(Reductions(index, index.tensors, [None, None], [None, None]))
    assert scores.tolist() == [0.0, 0.5]


def test_random_scores_come_from_the_generator_alone(example):
    random = SALIENCIES["random"]

    def draw(seed):
        return random.score(example, torch.Generator().manual_seed(seed)).tolist()

    state = torch.get_rng_state()
    assert draw(0) == draw(0) != draw(1)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(InvalidSettingError, match="pass generator"):
        random.score(example)


def test_the_running_average_starts_at_the_first_sample():
    average = None
    for sample in (4.0, 0.0, 2.0):
        average = running_average(average, torch.tensor([sample], dtype=torch.float64), 0.9)
    assert average.item() == pytest.approx(0.9 * (0.9 * 4.0 + 0.1 * 0.0) + 0.1 * 2.0)


def test_a_saliency_is_found_by_name_or_taken_as_a_function():
    assert find("taylor").function is taylor
    assert find(taylor) == Saliency("taylor", taylor)
    mine = Saliency("mine", taylor)
    assert find(mine) is mine
    with pytest.raises(UnknownNameError, match="choose one of snip, taylor, documents, magnitude"):
        find("tailor")


def test_a_function_that_scores_something_else_is_refused(example):
    with pytest.raises(InvalidSettingError, match=r"one number per structure, shape \(3,\)"):
        find(lambda reductions: torch.zeros(2)).score(example)
