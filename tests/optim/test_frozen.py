"""No method writes to a parameter that it does not train, and what holds one stays."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch
from torch import nn

import nasviz
from nasviz import nas, optim
from nasviz.errors import CheckpointError, InvalidSettingError, InvalidSparsityError


class Net(nn.Module):
    """Residual blocks of two convolutions, with norms; two branches under a norm of their concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(8, 6, 3, padding=1, bias=False),
                nn.BatchNorm2d(6),
                nn.ReLU(),
                nn.Conv2d(6, 8, 3, padding=1),
                nn.BatchNorm2d(8),
            )
            for _ in range(4)
        )
        self.left, self.right = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 1)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        x = self.norm(torch.cat([self.left(x), self.right(x)], 1))
        return self.head(nn.functional.relu(x).mean((2, 3)))


X = torch.randn(12, 1, 6, 6, generator=torch.Generator().manual_seed(0))
Y = torch.randint(4, (12,), generator=torch.Generator().manual_seed(1))


def model(frozen=()):
    torch.manual_seed(0)
    made = Net()
    for name, parameter in made.named_parameters():
        parameter.requires_grad_(not any(name.startswith(part) for part in frozen))
    return made


@cache
def traced_once(untrained):
    return nasviz.trace(model(untrained), X)


def traced(untrained=(), **options):
    net = copy.deepcopy(traced_once(tuple(untrained)))
    return net, nasviz.search_space(net, **options)


def loss_of(net):
    return nn.functional.cross_entropy(net(X), Y)


def steps(net, optimizer, count=9):
    net.train()
    for _ in range(count):
        if isinstance(optimizer, nas.RelaxedOptimizer):
            if optimizer.phase == "training":
                optimizer.prune()
                optimizer.tune(loss_of(net))
            else:
                optimizer.step(lambda: loss_of(net), lambda: loss_of(net))
        else:
            net.zero_grad()
            loss_of(net).backward()
            optimizer.step()


PROJECTING = {"lr": 0.1, "warmup_steps": 3, "momentum": 0.9, "weight_decay": 0.01}


def _search(name, **settings):
    return lambda net, space: optim.create(name, net, space, **PROJECTING | settings)


def _gsparsity(groups):
    return lambda net, space: optim.create_gsparsity(
        net, space, projection_steps=6, lr=0.9, mu=3.0, groups=groups, threshold=1e-2
    )


def _width(groups):
    return lambda net, space: nas.create_width(
        net, space, projection_steps=5, lr=0.05, groups=groups, weight_decay=0.01
    )


def _relaxed(name, **options):
    return lambda net, space: nas.create(name, net, space, lr=0.05, weight_decay=0.01, **options)


METHODS = {
    "h2spg": _search("h2spg", target_sparsity=1, projection_steps=4),
    "h2spg slim": _search("h2spg", target_sparsity=1, projection_steps=4, slim=3),
    "h2spg_otov3": _search("h2spg_otov3", target_sparsity=1, projection_steps=4),
    "dhspg slim": _search("dhspg", target_sparsity=1, projection_steps=4, slim=3),
    "hspg": _search("hspg", regularization=1.0),
    "gsparsity operations": _gsparsity("operations"),
    "gsparsity filters": _gsparsity("filters"),
    "gsparsity channels": _gsparsity("channels"),
    "rarts_width": _width("channels"),
    "rarts_width filters": _width("filters"),
    "darts": _relaxed("darts"),
    "milenas": _relaxed("milenas"),
    "rarts": _relaxed("rarts"),
    # The norm behind `left` and `right` hides their scale: AdamHAPG would divide by a tiny gradient.
    "sparsenas": _relaxed("sparsenas", adaptive=False),
}
SUBSETS = [("stem", "blocks.0", "blocks.1.3"), ("blocks.1.1", "blocks.2", "norm", "head.bias")]


def train(method, untrained, **options):
    net, space = traced(untrained, **options)
    if method in ("darts", "milenas", "rarts", "sparsenas"):
        kind = "plain" if method == "sparsenas" else "softmax"
        net, space = nas.with_architecture(net, space, kind=kind)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = METHODS[method](net, space)
    steps(net, optimizer)
    changed = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    return net, space, optimizer, changed


@pytest.mark.parametrize("frozen", SUBSETS)
@pytest.mark.parametrize("method", METHODS)
def test_frozen_parameters_are_bitwise_what_they_were(method, frozen):
    net, _, _, changed = train(method, frozen)
    assert changed, "nothing was trained: the test says nothing"
    assert {name for name, p in net.named_parameters() if not p.requires_grad}
    assert not {name for name in changed if not net.get_parameter(name).requires_grad}


@pytest.mark.parametrize("method", ["h2spg slim", "hspg"])
def test_what_may_go_by_an_explicit_choice_is_overwritten_and_cut_exactly(method):
    net, space, optimizer, changed = train(method, ["blocks"], frozen="removable")
    assert any(name.startswith("blocks") for name in changed)
    sub = nasviz.construct(net, space, optimizer.selected, channels=getattr(optimizer, "channels", ()))
    net.eval(), sub.module.eval()
    torch.testing.assert_close(sub.module(X), net(X), rtol=1e-4, atol=1e-5)


def test_the_reason_names_the_parameter_and_the_counts_leave_it_out():
    _, whole = traced()
    net, space = traced(["blocks.0.3", "norm.weight"])
    reasons = {s.name: s.reason for s in space.structures if s.reason}
    assert sorted(set(reasons.values())) == ["frozen: blocks.0.3.weight", "frozen: norm.weight"]
    vertex = next(v for v in space.trace if v.module == "blocks.0.3")
    assert space.why_not(vertex.id) == "frozen: blocks.0.3.weight"
    assert len(space.removable) == len(whole.removable) - len(reasons)
    frozen = next(s for s in space.structures if s.reason == "frozen: blocks.0.3.weight")
    assert not space.is_valid([frozen.id])
    with pytest.raises(InvalidSparsityError, match="frozen: blocks"):
        space.check_erased([frozen.id])
    with pytest.raises(InvalidSparsityError, match=rf"{len(reasons)} more are frozen"):
        optim.create("h2spg", net, space, target_sparsity=5, lr=0.1, warmup_steps=1, projection_steps=1)
    # A reader that is frozen is cut, not written: its operand's channels may go. Those that it makes stay.
    names = {s.name: s.reason for s in space.channels.structures}
    assert names["blocks.0.0"] is None
    ids = {s.name: s.groups for s in space.channels.slimmable}
    assert ids.items() <= {s.name: s.groups for s in whole.channels.slimmable}.items()
    again = nasviz.graph.SearchSpace.from_json(space.to_json())
    assert [s.reason for s in again.structures] == [s.reason for s in space.structures]
    with pytest.raises(InvalidSettingError, match="choose one of protected, removable"):
        nasviz.search_space(net, frozen="gone")


def test_what_the_optimizer_does_not_hold_is_frozen_when_it_is_created():
    net, space = traced()
    held = [p for name, p in net.named_parameters() if not name.startswith(("blocks.0", "blocks.1"))]
    net.get_parameter("blocks.2.0.weight").requires_grad_(False)  # after the search space
    frozen = {
        n: p.clone()
        for n, p in net.named_parameters()
        if n.startswith(("blocks.0", "blocks.1", "blocks.2.0"))
    }
    optimizer = optim.create(
        "h2spg", net, space, parameters=held, target_sparsity=1, slim=5, projection_steps=3, **PROJECTING
    )
    assert len(optimizer.structure_ids) == len(space.removable) - 3
    steps(net, optimizer)
    assert optimizer.selected
    assert optimizer.channels
    for name, value in frozen.items():
        assert torch.equal(net.get_parameter(name), value), name
    sub = nasviz.construct(net, space, optimizer.selected, channels=optimizer.channels)
    net.eval(), sub.module.eval()
    torch.testing.assert_close(sub.module(X), net(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"target_sparsity": 2}, "target_sparsity=1, this optimizer has target_sparsity=2"),
        ({"slim": 4}, "slim=3, this optimizer has slim=4"),
    ],
)
def test_a_state_of_another_target_is_refused_with_both_values(other, words):
    def make(**settings):
        net, space = traced()
        chosen = {"target_sparsity": 1, "slim": 3, "projection_steps": 3}
        return optim.create("h2spg", net, space, **PROJECTING | chosen | settings)

    state = make().state_dict()
    make().load_state_dict(state)
    with pytest.raises(CheckpointError, match=words):
        make(**other).load_state_dict(state)


def test_a_state_of_another_space_is_refused():
    first = METHODS["h2spg"](*traced()).state_dict()
    with pytest.raises(CheckpointError, match="protected structures="):
        METHODS["h2spg"](*traced(protect=["blocks.0"])).load_state_dict(first)
    net, space = traced()
    darts = nas.create("darts", *nas.with_architecture(net, space), lr=0.1)
    net, space = traced(protect=["blocks.0"])
    other = nas.create("darts", *nas.with_architecture(net, space), lr=0.1)
    with pytest.raises(CheckpointError, match="this optimizer has"):
        other.load_state_dict(darts.state_dict())
