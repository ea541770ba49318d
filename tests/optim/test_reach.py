"""Steps that cannot leave the half-space are not tested, and nothing else changes."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from nasviz.optim import H2SPG, Selection
from nasviz.optim.group_optimizer import ProjectingOptimizer
from nasviz.optim.groups import TensorGroup
from nasviz.optim.halfspace import MARGIN, MEASURE_EVERY, Momenta, StepBound, adam_bound
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
    reach = StepBound(inner, StructureIndex({1: own[:2], 2: own[2:]}))
    generator = torch.Generator().manual_seed(1)
    closest, longest = 0.0, torch.zeros(2)
    structures = own[:2], own[2:]

    def lengths(tensors):
        whole = [torch.cat([tensors[id(t)].flatten() for t in owned]).double() for owned in structures]
        return torch.stack([vector.norm() for vector in whole])

    for step in range(3 * MEASURE_EVERY):
        for i, tensor in enumerate(own):
            grad = torch.randn(tensor.shape, generator=generator) * 10.0 ** float((step % 7) - 5)
            tensor.grad = grad if (step + i) % 5 else None
        before = {id(t): t.detach().clone() for t in own}
        assert reach.is_short(-1e9)  # no step is as long as that
        start = lengths(before) * (1 + MARGIN) if reach._age == 1 else longest
        longest = reach._longest
        inner.step()
        after = {id(t): t.detach() for t in own}
        moved = lengths({i: after[i].double() - before[i] for i in after})
        norms = lengths(after)
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
    is_short = StepBound.is_short

    def noted(reach, at):
        answers.append(is_short(reach, at))
        return answers[-1]

    monkeypatch.setattr(StepBound, "is_short", noted)
    saving, testing = build(), build()
    settings = {"epsilon": epsilon, "projection_steps": 12}
    first = h2spg(saving, base, **settings)
    train(saving, first, 0, 20)
    monkeypatch.setattr(StepBound, "is_short", lambda reach, at: False)
    second = h2spg(testing, base, **settings)
    train(testing, second, 0, 20)
    assert equal(saving, testing)
    assert first.zeroed_by == second.zeroed_by
    if epsilon == 0 and base in ("sgd", "adam", "adamw"):
        assert any(answers), "every step was tested: the comparison says nothing"
    if base in ("rmsprop", "nadam", "asgd"):
        assert not any(answers)


def many(count=40):
    """Small tensors, two a structure, all with a momentum."""
    generator = torch.Generator().manual_seed(0)
    own = [torch.randn(3, 2, generator=generator).requires_grad_() for _ in range(count)]
    sgd = torch.optim.SGD(own, lr=0.1, momentum=0.9, weight_decay=1e-4)
    for tensor in own:
        tensor.grad = torch.zeros_like(tensor)
    sgd.step()
    return own, sgd, StructureIndex({i: own[2 * i : 2 * i + 2] for i in range(count // 2)})


def test_momenta_in_one_vector_are_what_they_were_and_tell_the_step():
    (own, sgd, index), (others, plain, _) = many(), many()
    momenta = Momenta.found(sgd, index)
    generator = torch.Generator().manual_seed(1)
    for step in range(5):
        before = [tensor.detach().clone() for tensor in own]
        for number, (tensor, other) in enumerate(zip(own, others, strict=True)):
            grad = torch.randn(tensor.shape, generator=generator)
            tensor.grad = other.grad = grad if (step + number) % 7 else None
        sgd.step()
        plain.step()
        assert momenta.tell_steps(sgd.param_groups)
        assert all(torch.equal(a, b) for a, b in zip(own, others, strict=True))
        torch.testing.assert_close(momenta.origins(), before)
        moved = index.norm([a.detach() - b for a, b in zip(own, before, strict=True)])
        assert (moved <= 0.1 * momenta.norm() * (1 + 1e-5)).all()
    sgd.param_groups[0]["nesterov"] = True
    assert not momenta.tell_steps(sgd.param_groups)
    sgd.param_groups[0]["nesterov"] = False
    sgd.load_state_dict(copy.deepcopy(sgd.state_dict()))
    assert not momenta.tell_steps(sgd.param_groups), "these are other buffers"


@pytest.mark.parametrize("epsilon", [0.0, 0.9, 0.998])
def test_a_look_back_decides_as_a_test_at_every_step(epsilon, monkeypatch):
    zeroed, looks = [], []
    was_short = StepBound.was_short

    def noted(reach, at):
        looks.append(was_short(reach, at))
        return looks[-1]

    monkeypatch.setattr(StepBound, "was_short", noted)
    for is_testing in (False, True):
        if is_testing:
            monkeypatch.setattr(Momenta, "found", classmethod(lambda *_: None))
            monkeypatch.setattr(StepBound, "is_short", lambda reach, at: False)
        own, sgd, _ = many()
        groups = {i: TensorGroup(tuple(own[2 * i : 2 * i + 2])) for i in range(20)}
        chosen = {i: groups[i] for i in range(0, 20, 2)}
        select = lambda scores, chosen=chosen: Selection(tuple(chosen), members=chosen)  # noqa: E731
        optimizer = H2SPG(
            sgd, groups, select, warmup_steps=2, projection_steps=40, epsilon=epsilon, saliency="magnitude"
        )
        generator = torch.Generator().manual_seed(2)
        for step in range(41):
            for tensor in own:
                tensor.grad = torch.randn(tensor.shape, generator=generator) * (20.0 if step == 30 else 1e-4)
            optimizer.step()
        zeroed.append((optimizer.zeroed_by, optimizer.zeroed_at, [tensor.tolist() for tensor in own]))
    assert zeroed[0] == zeroed[1]
    assert any(looks)
    assert not all(looks), "no step was long: the comparison says nothing"
    assert "half-space" in zeroed[0][0].values()


def test_nothing_is_claimed_where_gradients_may_change_or_rounding_is_coarse():
    own = tensors()
    for tensor in own:
        tensor.grad = torch.full_like(tensor, 1e-6)
    index = StructureIndex({1: own})
    assert StepBound(torch.optim.SGD(own, lr=0.1), index).is_short(0.0)
    hooked = torch.optim.SGD(own, lr=0.1)
    hooked.register_step_pre_hook(lambda *_: None)
    assert not StepBound(hooked, index).is_short(0.0)
    assert not StepBound(torch.optim.SGD(own[:1], lr=0.1), index).is_short(0.0)
    coarse = [tensor.detach().bfloat16().requires_grad_() for tensor in own]
    assert not StepBound(torch.optim.SGD(coarse, lr=0.1), StructureIndex({1: coarse})).is_short(0.0)
    own[0].grad = torch.full_like(own[0], float("nan"))
    assert not StepBound(torch.optim.SGD(own, lr=0.1), index).is_short(0.0)
    own[0].grad = None
    own[0].data.zero_()
    zero = StructureIndex({1: own[:1], 2: own[1:]})
    assert not StepBound(torch.optim.SGD(own, lr=0.1), zero).is_short(0.0)


def test_where_bounds_are_of_no_use_they_are_left_alone_for_a_while():
    own = tensors()
    for tensor in own:
        tensor.grad = torch.full_like(tensor, 1e6)
    reach = StepBound(torch.optim.SGD(own, lr=0.1), StructureIndex({1: own}))
    measured = []
    reach._measure = lambda: measured.append(StepBound._measure(reach))
    assert not any(reach.is_short(0.0) for _ in range(18))
    assert len(measured) == 2


def test_short_steps_copy_nothing():
    net = build()
    optimizer = h2spg(net, "adamw", projection_steps=50)
    train(net, optimizer, 0, 8)
    assert isinstance(optimizer, ProjectingOptimizer)
    assert optimizer.phase == "projection"
    assert optimizer._redundant.history._before == []
