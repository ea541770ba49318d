"""Steps that cannot leave the half-space are not tested, and nothing else changes."""

from __future__ import annotations

import math

import pytest
import torch

from nasviz.optim.projecting import ProjectingOptimizer
from nasviz.optim.reach import MARGIN, MEASURE_EVERY, Reach, adam_bound
from nasviz.saliency import StructureIndex
from tests.optim.problems import BASES, build, equal, h2spg, train

KNOWN = {
    "plain": lambda p: torch.optim.SGD(p, lr=0.3),
    "decay": lambda p: torch.optim.SGD(p, lr=0.3, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.3, momentum=0.9, nesterov=True, weight_decay=0.1),
    "dampening": lambda p: torch.optim.SGD(p, lr=0.3, momentum=0.5, dampening=0.7),
    "maximize": lambda p: torch.optim.SGD(p, lr=0.3, momentum=0.5, maximize=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True, betas=(0.5, 0.9)),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=1.0),
    "two rates": lambda p: torch.optim.SGD([{"params": p[:1], "lr": 1.0}, {"params": p[1:]}], lr=0.1),
}


def tensors():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in ((8, 3), (5,), (4, 4))]


@pytest.mark.parametrize("name", KNOWN)
def test_no_step_is_longer_than_its_bound(name):
    own = tensors()
    inner = KNOWN[name](own)
    reach = Reach(inner, StructureIndex({1: own[:2], 2: own[2:]}))
    generator = torch.Generator().manual_seed(1)
    closest, longest = 0.0, torch.zeros(3)
    for step in range(3 * MEASURE_EVERY):
        for i, tensor in enumerate(own):
            grad = torch.randn(tensor.shape, generator=generator) * 10.0 ** float((step % 7) - 5)
            tensor.grad = grad if (step + i) % 5 else None
        before = [tensor.detach().clone() for tensor in own]
        assert reach.is_short(-1e9)  # no step is as long as that
        start = (
            torch.stack([b.double().norm() for b in before]) * (1 + MARGIN) if reach._age == 1 else longest
        )
        longest = reach._longest
        inner.step()
        moved = torch.stack([(t.detach().double() - b).norm() for t, b in zip(own, before, strict=True)])
        norms = torch.stack([t.detach().double().norm() for t in own])
        assert (reach._shortest <= norms).all()
        assert (norms <= longest).all()
        assert (moved <= longest - start + 1e-6 * norms).all()  # positions are rounded
        closest = max(closest, float((moved / (longest - start)).max()))
    assert closest > 0.1, "the bounds are so wide that they say nothing"


def test_the_worst_gradients_for_adam_come_up_to_the_bound():
    beta1, beta2, steps = 0.9, 0.999, 400
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([x], lr=1.0, betas=(beta1, beta2), eps=0.0)
    adam.state[x] = {
        "step": torch.tensor(1e6),
        "exp_avg": torch.zeros(1, dtype=torch.float64),
        "exp_avg_sq": torch.zeros(1, dtype=torch.float64),
    }
    for step in range(steps):
        x.grad = torch.tensor([(beta1 / beta2) ** (steps - step)], dtype=torch.float64)
        before = x.item()
        adam.step()
    assert before - x.item() == pytest.approx(adam_bound(beta1, beta2), rel=1e-6)


@pytest.mark.parametrize(("beta1", "beta2"), [(0.9, 0.81), (0.9, 0.5), (0.9999, 0.99999), (0.5, 1.0)])
def test_where_steps_of_adam_have_no_bound_none_is_claimed(beta1, beta2):
    assert adam_bound(beta1, beta2) == math.inf


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("epsilon", [0.0, 0.998])
def test_every_decision_is_that_of_a_test_at_every_step(base, epsilon, monkeypatch):
    answers = []
    is_short = Reach.is_short

    def noted(reach, at):
        answers.append(is_short(reach, at))
        return answers[-1]

    monkeypatch.setattr(Reach, "is_short", noted)
    saving, testing = build(), build()
    settings = {"epsilon": epsilon, "projection_steps": 12}
    first = h2spg(saving, base, **settings)
    train(saving, first, 0, 20)
    monkeypatch.setattr(Reach, "is_short", lambda reach, at: False)
    second = h2spg(testing, base, **settings)
    train(testing, second, 0, 20)
    assert equal(saving, testing)
    assert first.zeroed_by == second.zeroed_by
    if epsilon == 0 and base in ("sgd", "adam", "adamw"):
        assert any(answers), "every step was tested: the comparison says nothing"
    if base in ("rmsprop", "nadam", "asgd"):
        assert not any(answers)


def test_nothing_is_claimed_where_gradients_may_change_or_rounding_is_coarse():
    own = tensors()
    for tensor in own:
        tensor.grad = torch.full_like(tensor, 1e-6)
    index = StructureIndex({1: own})
    assert Reach(torch.optim.SGD(own, lr=0.1), index).is_short(0.0)
    hooked = torch.optim.SGD(own, lr=0.1)
    hooked.register_step_pre_hook(lambda *_: None)
    assert not Reach(hooked, index).is_short(0.0)
    assert not Reach(torch.optim.SGD(own[:1], lr=0.1), index).is_short(0.0)
    coarse = [tensor.detach().bfloat16().requires_grad_() for tensor in own]
    assert not Reach(torch.optim.SGD(coarse, lr=0.1), StructureIndex({1: coarse})).is_short(0.0)
    own[0].grad = torch.full_like(own[0], float("nan"))
    assert not Reach(torch.optim.SGD(own, lr=0.1), index).is_short(0.0)
    own[0].grad = None
    own[0].data.zero_()
    zero = StructureIndex({1: own[:1], 2: own[1:]})
    assert not Reach(torch.optim.SGD(own, lr=0.1), zero).is_short(0.0)


def test_where_bounds_are_of_no_use_they_are_left_alone_for_a_while():
    own = tensors()
    for tensor in own:
        tensor.grad = torch.full_like(tensor, 1e6)
    reach = Reach(torch.optim.SGD(own, lr=0.1), StructureIndex({1: own}))
    measured = []
    reach._measure = lambda: measured.append(Reach._measure(reach))
    assert not any(reach.is_short(0.0) for _ in range(18))
    assert len(measured) == 2


def test_short_steps_copy_nothing():
    net = build()
    optimizer = h2spg(net, "adamw", projection_steps=50)
    train(net, optimizer, 0, 8)
    assert isinstance(optimizer, ProjectingOptimizer)
    assert optimizer.phase == "projection"
    assert optimizer._redundant.trail._before == []
