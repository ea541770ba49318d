"""A run that is stopped and taken up again goes on bit for bit."""

from __future__ import annotations

import copy
import io

import pytest
import torch

from nasviz.errors import CheckpointError
from nasviz.optim import H2SPG, Selection
from tests.optim.problems import BASES, backward, build, equal, h2spg, train

STEPS = 14


def saved_and_loaded(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def start(base: str, seed: int = 0, **settings):
    net = build(seed)
    optimizer = h2spg(net, base, **settings)
    return net, optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)


def go_on(net, optimizer, scheduler, first, last):
    for step in range(first, last):
        train(net, optimizer, step, step + 1)
        scheduler.step()


@pytest.mark.parametrize("base", ["sgd momentum", "adam amsgrad", "adamw", "sgd fused"])
@pytest.mark.parametrize("stop", [0, 2, 4, 6, 9, 12])
def test_a_resumed_run_is_bitwise_the_run_that_went_through(base, stop):
    whole = start(base, epsilon=0.9)
    go_on(*whole, 0, STEPS)
    broken = start(base, epsilon=0.9)
    go_on(*broken, 0, stop)
    saved = saved_and_loaded([part.state_dict() for part in broken])

    resumed = start(base, seed=1)
    for part, state in zip(resumed, saved, strict=True):
        part.load_state_dict(state)
    go_on(*resumed, stop, STEPS)

    assert equal(whole[0], resumed[0])
    for name in ("scores", "selected", "orphaned", "zeroed_by", "phase", "num_steps", "epsilon"):
        assert getattr(whole[1], name) == getattr(resumed[1], name), name
    one, other = (saved_and_loaded(o.state_dict()["state"]) for o in (whole[1], resumed[1]))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_negative_control_a_run_resumed_without_the_optimizer_differs():
    whole, broken, resumed = start("sgd momentum"), start("sgd momentum"), start("sgd momentum")
    go_on(*whole, 0, STEPS)
    go_on(*broken, 0, 2)
    resumed[0].load_state_dict(broken[0].state_dict())
    go_on(*resumed, 2, STEPS)
    assert not equal(whole[0], resumed[0])


def test_a_half_space_crossing_survives_a_resume():
    net = build()
    optimizer = h2spg(net, "sgd", epsilon=0.999, projection_steps=50)
    train(net, optimizer, 0, 8)
    assert set(optimizer.zeroed_by.values()) == {"half-space"}, "nothing crossed: the test says nothing"
    twin = build(1)
    twin.load_state_dict(net.state_dict())
    resumed = h2spg(twin, "sgd")
    resumed.load_state_dict(saved_and_loaded(optimizer.state_dict()))
    train(net, optimizer, 8, 12)
    train(twin, resumed, 8, 12)
    assert equal(net, twin)
    assert resumed.zeroed_by == optimizer.zeroed_by


def test_select_is_not_asked_again_after_a_resume():
    net = build()
    optimizer = h2spg(net)
    train(net, optimizer, 0, 5)

    def refuse(scores):
        raise AssertionError("asked twice")

    inner = BASES["sgd momentum"](list(net.parameters()))
    resumed = H2SPG(inner, net.groups(), refuse, warmup_steps=4, projection_steps=5)
    resumed.load_state_dict(optimizer.state_dict())
    train(net, resumed, 5, 10)
    assert resumed.selected == optimizer.selected


def test_a_random_saliency_goes_on_where_it_stood():
    def fresh(seed):
        generator = torch.Generator().manual_seed(seed)
        net = build()
        return net, h2spg(net, warmup_steps=6, saliency="random", generator=generator)

    (net, whole), (other, broken), (third, resumed) = fresh(0), fresh(0), fresh(1)
    train(net, whole, 0, 6)
    train(other, broken, 0, 3)
    resumed.load_state_dict(saved_and_loaded(broken.state_dict()))
    train(third, resumed, 3, 6)
    assert resumed.scores == whole.scores


def test_a_saved_state_does_not_change_while_training_goes_on():
    net = build()
    optimizer = h2spg(net)
    train(net, optimizer, 0, 2)
    own = optimizer.state_dict()["nasviz"]
    average = own["scores"]["average"].clone()
    train(net, optimizer, 2, 12)
    assert torch.equal(own["scores"]["average"], average)
    assert own["selection"] is None
    assert own["zeroed_by"] == {}


def test_the_state_of_a_plain_optimizer_is_taken_as_a_beginning():
    net = build()
    plain = BASES["sgd momentum"](list(net.parameters()))
    train(net, plain, 0, 3)
    optimizer = h2spg(net)
    optimizer.load_state_dict(plain.state_dict())
    buffer = optimizer.state[net.a.weight]["momentum_buffer"]
    assert torch.equal(buffer, plain.state[net.a.weight]["momentum_buffer"])
    assert optimizer.phase == "warm-up"


def test_the_state_of_other_structures_or_scores_is_refused_and_nothing_changes():
    net = build()
    groups = net.groups()
    groups.pop(5)
    inner = BASES["sgd"](list(net.parameters()))
    fewer = H2SPG(inner, groups, lambda scores: Selection(()), warmup_steps=4, projection_steps=5)
    optimizer = h2spg(net, "sgd")
    train(net, optimizer, 0, 3)
    with pytest.raises(CheckpointError, match="of 5 structures, this optimizer has 4"):
        fewer.load_state_dict(optimizer.state_dict())
    other = h2spg(net, "sgd", saliency="magnitude")
    with pytest.raises(CheckpointError, match="saved with saliency 'snip', not 'magnitude'"):
        other.load_state_dict(optimizer.state_dict())
    foreign = optimizer.state_dict()
    foreign["nasviz"] = {"class": "ProxSGD"}
    with pytest.raises(CheckpointError, match="saved by 'ProxSGD'"):
        other.load_state_dict(foreign)
    assert other.num_steps == fewer.num_steps == 0


def test_a_loaded_state_stays_tied_to_the_schedule():
    net = build()
    optimizer = h2spg(net)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    backward(net, 0)
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    scheduler.step()
    assert optimizer.inner.param_groups[0]["lr"] == pytest.approx(0.05)


def test_copying_the_whole_optimizer_is_refused_in_words():
    with pytest.raises(TypeError, match="save its state_dict"):
        copy.deepcopy(h2spg(build()))
