"""Laws that hold for every optimizer over every base."""

from __future__ import annotations

import io

import pytest
import torch

from nasviz.errors import CheckpointError
from nasviz.optim import DHSPG, H2SPG, HSPG, OPTIMIZERS, H2SPGOTOv3, Selection, TensorGroup
from nasviz.optim.halfspace import RedundantGroups
from tests.optim.problems import BASES, ORPHANED, SELECTED, build, equal, train

NAMES = ("sgd momentum", "adam", "adamw")
bases = pytest.mark.parametrize("base", NAMES)
optimizers = pytest.mark.parametrize("name", OPTIMIZERS)
selecting = pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "hspg"])
WARM_UP, END = 4, 10


def make(name, net, base, selection=None, **settings):
    """Every optimizer on the branches: after END steps what is to be zero is zero."""
    inner = BASES[base](list(net.parameters()))
    if name == "hspg":
        members = net.selection().members
        groups = {i: members.get(i, group) for i, group in net.groups().items()}
        pull = 0.5 if base.startswith("sgd") else 5.0  # against the smaller rates of the others
        settings = {"warmup_steps": WARM_UP, "regularization": pull, "epsilon": 0.9} | settings
        return HSPG(inner, groups, lambda erased: len(erased) < 5, **settings)
    chosen = selection or net.selection()
    settings = {"warmup_steps": WARM_UP, "projection_steps": END - WARM_UP} | settings
    if name == "h2spg":
        return H2SPG(inner, net.groups(), lambda scores: chosen, **settings)
    kind = {"h2spg_otov3": H2SPGOTOv3, "dhspg": DHSPG}[name]
    return kind(inner, net.groups(), lambda scores: chosen, **settings)


def saved_and_loaded(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_the_table_is_complete():
    net = build()
    for name, kind in OPTIMIZERS.items():
        assert type(make(name, net, "sgd")) is kind


@bases
@optimizers
def test_until_the_warm_up_ends_it_is_the_inner_optimizer_bitwise(name, base):
    plain, net = build(), build()
    settings = {"regularization": 0.0} if name == "hspg" else {}
    train(plain, BASES[base](list(plain.parameters())), 0, WARM_UP)
    train(net, make(name, net, base, **settings), 0, WARM_UP)
    assert equal(plain, net)


@bases
@selecting
def test_with_nothing_selected_it_is_the_inner_optimizer_bitwise(name, base):
    plain, net = build(), build()
    train(plain, BASES[base](list(plain.parameters())), 0, END + 2)
    optimizer = make(name, net, base, selection=Selection(()))
    train(net, optimizer, 0, END + 2)
    assert equal(plain, net)
    assert optimizer.phase == "training"


@bases
@optimizers
def test_what_is_zero_stays_zero_with_its_buffers_and_the_rest_is_trained(name, base):
    net = build()
    optimizer = make(name, net, base)
    train(net, optimizer, 0, END)
    gone = optimizer.zeroed_by
    assert gone, "nothing became zero: the test says nothing"
    if name != "hspg":
        assert gone.keys() == {*SELECTED, *ORPHANED}
    held = optimizer.held
    before = [parameter.clone() for parameter in net.parameters()]
    train(net, optimizer, END, END + 3)
    for tensor in held.tensors:
        assert not tensor.any()
        buffers = [b for key, b in optimizer.state[tensor].items() if key != "step" and b is not None]
        assert not any(buffer.any() for buffer in buffers)
    for rows in held.rows:
        assert not rows.tensor.index_select(rows.dim, rows.index).any()
    kept = [name for name, p in net.named_parameters() if p.any() and not name.startswith("unused")]
    changed = {
        name for (name, p), q in zip(net.named_parameters(), before, strict=True) if not torch.equal(p, q)
    }
    assert set(kept) <= changed


@optimizers
def test_the_loss_of_a_convex_problem_falls(name):
    torch.manual_seed(0)
    target = torch.randn(6)
    parts = [torch.zeros(3, requires_grad=True) for _ in range(2)]
    for part in parts:
        part.data.fill_(0.5)
    groups = {1: TensorGroup((parts[0],)), 2: TensorGroup((parts[1],))}
    inner = torch.optim.SGD(parts, lr=0.1)
    if name == "hspg":
        optimizer = HSPG(inner, groups, lambda erased: True, warmup_steps=5)
    else:
        kind = OPTIMIZERS[name]
        selection = Selection((1,), members={1: groups[1]})
        optimizer = kind(inner, groups, lambda scores: selection, warmup_steps=5, projection_steps=5)

    def loss():
        return (torch.cat(parts) - target).square().sum()

    first = loss().item()
    for _ in range(40):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    if name == "hspg":
        assert loss() < 0.05 * first
    else:  # one half is at zero, the other one at the optimum
        assert loss().item() == pytest.approx(target[:3].square().sum().item(), rel=0.01)


@pytest.mark.parametrize("stop", [2, 5, 7, 11])
@bases
@optimizers
def test_a_resumed_run_is_bitwise_the_run_that_went_through(name, base, stop):
    whole, broken, net = build(), build(), build(1)
    first, second, resumed = (make(name, n, base, epsilon=0.9) for n in (whole, broken, net))
    train(whole, first, 0, 13)
    train(broken, second, 0, stop)
    net.load_state_dict(broken.state_dict())
    resumed.load_state_dict(saved_and_loaded(second.state_dict()))
    train(net, resumed, stop, 13)
    assert equal(whole, net)
    for attribute in ("scores", "selected", "orphaned", "zeroed_by", "phase", "num_steps", "is_valid"):
        assert getattr(first, attribute) == getattr(resumed, attribute), attribute
    torch.testing.assert_close(first.state_dict()["state"], resumed.state_dict()["state"], rtol=0, atol=0)


@optimizers
def test_a_state_brings_its_settings_and_is_refused_by_the_others(name):
    net = build()
    optimizer = make(name, net, "sgd", epsilon=0.25)
    state = optimizer.state_dict()
    again = make(name, net, "sgd")
    again.load_state_dict(state)
    assert again.epsilon == 0.25
    for other in OPTIMIZERS:
        if other != name:
            with pytest.raises(CheckpointError, match="cannot be loaded into"):
                make(other, net, "sgd").load_state_dict(state)


@pytest.fixture
def lazily(monkeypatch):
    """Decisions stay where they are made, as on a GPU."""
    made = RedundantGroups.__init__

    def init(self, *arguments):
        made(self, *arguments)
        self.is_lazy = True

    def turn(is_on):
        monkeypatch.setattr(RedundantGroups, "__init__", init if is_on else made)

    return turn


@bases
@optimizers
def test_decisions_that_stay_on_the_device_make_the_same_network(name, base, lazily):
    read, unread, looked = build(), build(), build()
    settings = {"epsilon": 0.998} if name != "hspg" else {}
    first = make(name, read, base, **settings)
    train(read, first, 0, END - 1)
    lazily(True)
    second, third = (make(name, net, base, **settings) for net in (unread, looked))
    for step in range(END - 1):
        train(unread, second, step, step + 1)
        train(looked, third, step, step + 1)
        assert third.num_zero.item() == len(third.zeroed_by)
    assert equal(read, unread)
    assert equal(read, looked)
    assert second.zeroed_by == third.zeroed_by == first.zeroed_by
    if base == "sgd momentum" or name == "hspg":
        assert "half-space" in first.zeroed_by.values(), "nothing crossed: the test says nothing"
    train(read, first, END - 1, END + 2)
    train(unread, second, END - 1, END + 2)
    assert equal(read, unread)
    assert second.zeroed_by == first.zeroed_by
