"""Channel groups in training: exactly the selected rows become zero, and nothing selected changes nothing."""

from __future__ import annotations

import copy
import io
from functools import cache

import pytest
import torch
from torch import Tensor, nn

import nasviz
from nasviz.errors import CheckpointError, InvalidSettingError, InvalidSparsityError
from nasviz.graph import SearchSpace
from nasviz.optim import Slim


class Net(nn.Module):
    """A residual branch and a depthwise convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.a, self.b = nn.Conv2d(6, 8, 1), nn.Conv2d(8, 6, 1)
        self.depth, self.head = nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu()
        x = x + self.b(self.a(x).relu())
        return self.head(self.depth(x).mean((2, 3)))


@cache
def traced(seed: int) -> tuple[nn.Module, SearchSpace, Tensor]:
    torch.manual_seed(seed)
    x = torch.randn(8, 2, 6, 6)
    net = nasviz.trace(Net(), x)
    return net, nasviz.search_space(net), x


def made(seed: int = 0) -> tuple[nn.Module, SearchSpace, Tensor]:
    """Return a copy of the traced network: tracing costs a hundred times as much."""
    net, space, x = traced(seed)
    return copy.deepcopy(net), space, x


def train(net: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        net.train()(x).square().mean().backward()
        optimizer.step()


BASES = {
    "sgd": {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3},
    "adam": {"lr": 0.01},
    "adamw": {"lr": 0.01},
}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("h2spg", {"projection": "both"}),
        ("h2spg", {"projection": "progressive"}),
        ("h2spg_otov3", {"regularization": 0.1}),
        ("dhspg", {}),
    ],
)
def test_exactly_the_selected_rows_are_zero(name: str, settings: dict[str, object], base: str) -> None:
    net, space, x = made()
    optimizer = nasviz.optim.create(
        name, net, space, base=base, slim=0.5, warmup_steps=3, projection_steps=5, **settings, **BASES[base]
    )
    train(net, optimizer, x, 12)

    assert isinstance(optimizer, Slim)
    assert len(optimizer.channels) == len(space.channels) // 2 == len(optimizer.channels_zeroed_by)
    assert optimizer.phase == "training"
    assert optimizer.channels_zeroed_by.keys() == optimizer.channels_zeroed_at.keys() == {*optimizer.channels}
    forced = "progressive" if name == "h2spg" else "end of projection"
    assert set(optimizer.channels_zeroed_by.values()) <= {forced, "half-space"}
    assert set(optimizer.channels_zeroed_at.values()) <= set(range(3, 8))
    assert all(
        optimizer.channels_zeroed_at[i] == 7
        for i, how in optimizer.channels_zeroed_by.items()
        if how == forced
    )
    tensors = dict(net.named_parameters())
    zero = {name: torch.zeros_like(p, dtype=torch.bool) for name, p in tensors.items()}
    for piece in space.channels.slices(optimizer.channels):
        zero[piece.tensor].index_fill_(piece.dim, torch.tensor(piece.rows), True)
    for name_, parameter in tensors.items():
        assert torch.equal(parameter == 0, zero[name_]), name_
    sub = nasviz.construct(net, space)
    assert sub.report.channels == optimizer.channels
    assert sub.report.max_relative_error < 1e-5


@pytest.mark.parametrize("base", BASES)
def test_until_the_selection_and_without_one_the_steps_are_those_of_torch(base: str) -> None:
    plain, _, x = made()
    slim, space, _ = made()
    mine = nasviz.optim.create(
        "h2spg", slim, space, base=base, slim=0.5, warmup_steps=6, projection_steps=5, **BASES[base]
    )
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[base]
    train(plain, kind(plain.parameters(), **BASES[base]), x, 5)
    train(slim, mine, x, 5)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), slim.parameters(), strict=True))

    net, space, x = made()
    none = nasviz.optim.create("h2spg", net, space, slim=0.01, warmup_steps=2, projection_steps=3, lr=0.05)
    other, _, _ = made()
    train(net, none, x, 8)
    train(other, torch.optim.SGD(other.parameters(), lr=0.05), x, 8)
    assert none.channels == ()
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


def test_structures_and_channels_go_at_once() -> None:
    net, space, x = made()
    optimizer = nasviz.optim.create(
        "h2spg", net, space, lr=0.05, target_sparsity=1, slim=2, warmup_steps=3, projection_steps=5
    )
    train(net, optimizer, x, 10)
    assert len(optimizer.selected) == 1
    assert len(optimizer.channels) == 2
    gone = {v for i in space.closure(optimizer.selected) for v in space.segments[i].vertices}
    assert all(not gone.issuperset(space.channels.of(i).stems) for i in optimizer.channels)
    sub = nasviz.construct(net, space)
    assert (sub.report.selected, sub.report.channels) == (optimizer.selected, optimizer.channels)


def test_what_was_constructed_can_be_slimmed() -> None:
    net, space, x = made()
    sub = nasviz.construct(net, space, [space.removable[0].id])
    again = nasviz.trace(sub.module, x)
    space = nasviz.search_space(again)
    optimizer = nasviz.optim.create(
        "h2spg", again, space, lr=0.05, slim=0.4, warmup_steps=2, projection_steps=2
    )
    train(again, optimizer, x, 5)
    assert nasviz.construct(again, space).report.channels == optimizer.channels != ()


@pytest.mark.parametrize("steps", [2, 5, 9])
def test_a_state_goes_on_bit_by_bit(steps: int) -> None:
    settings = {"slim": 0.5, "target_sparsity": 1, "lr": 0.05, "momentum": 0.9}
    net, space, x = made()
    straight = nasviz.optim.create("h2spg", net, space, warmup_steps=3, projection_steps=4, **settings)
    train(net, straight, x, steps)
    kept = io.BytesIO()
    torch.save({"net": net.state_dict(), "optimizer": straight.state_dict()}, kept)
    train(net, straight, x, 10 - steps)

    other, space, _ = made(seed=1)
    resumed = nasviz.optim.create("h2spg", other, space, warmup_steps=3, projection_steps=4, **settings)
    kept.seek(0)
    state = torch.load(kept, weights_only=True)
    other.load_state_dict(state["net"])
    resumed.load_state_dict(state["optimizer"])
    train(other, resumed, x, 10 - steps)

    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    assert resumed.channels == straight.channels
    assert resumed.zeroed_by == straight.zeroed_by
    assert resumed.channels_zeroed_by == straight.channels_zeroed_by != {}
    assert resumed.channels_zeroed_at == straight.channels_zeroed_at


def test_states_of_others_are_refused() -> None:
    net, space, _ = made()
    settings = {"lr": 0.1, "warmup_steps": 2, "projection_steps": 2}
    slim = nasviz.optim.create("h2spg", net, space, slim=0.5, **settings)
    plain = nasviz.optim.create("h2spg", copy.deepcopy(net), space, **settings)
    with pytest.raises(CheckpointError, match="H2SPG"):
        slim.load_state_dict(plain.state_dict())


def test_too_much_and_the_impossible_are_refused() -> None:
    net, space, _ = made()
    settings = {"lr": 0.1, "warmup_steps": 2, "projection_steps": 2}
    with pytest.raises(InvalidSparsityError, match="choose at most"):
        nasviz.optim.create("h2spg", net, space, slim=len(space.channels), **settings)
    with pytest.raises(InvalidSparsityError, match="share"):
        nasviz.optim.create("h2spg", net, space, slim=1.5, **settings)
    with pytest.raises(InvalidSettingError, match="group_divisible"):
        nasviz.optim.create("h2spg", net, space, slim=0.5, group_divisible=0, **settings)
    with pytest.raises(InvalidSettingError, match="hspg has no target"):
        nasviz.optim.create("hspg", net, space, slim=0.5, lr=0.1, warmup_steps=2)


@pytest.mark.parametrize(("score_every", "every"), [(None, 3), (1, 1)])
def test_channels_are_scored_as_often_as_structures(score_every: int | None, every: int) -> None:
    net, space, _ = made()
    settings = {"lr": 0.1, "warmup_steps": 96, "projection_steps": 2, "score_every": score_every}
    optimizer = nasviz.optim.create("h2spg", net, space, slim=0.5, **settings)
    assert (optimizer._scores.every, optimizer.inner._scores.every) == (every, every)


def test_kept_widths_are_multiples() -> None:
    net, space, x = made()
    optimizer = nasviz.optim.create(
        "h2spg", net, space, lr=0.05, slim=0.9, group_divisible=2, warmup_steps=2, projection_steps=2
    )
    train(net, optimizer, x, 5)
    widths = nasviz.construct(net, space).report.widths
    assert widths
    assert all(after % 2 == 0 for _, after in widths.values())


def stepped(net: nn.Module, optimizer: Slim, steps: int, gradients: torch.Generator) -> None:
    for _ in range(steps):
        for parameter in net.parameters():
            noise = torch.rand(parameter.shape, generator=gradients)
            # Along x itself, so that what is redundant leaves its half-space.
            parameter.grad = noise.to(parameter.device) * parameter.detach()
        optimizer.step()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("h2spg", {"projection": "halfspace", "epsilon": 0.5}),
        ("h2spg", {"projection": "both"}),
        ("h2spg_otov3", {}),
        ("dhspg", {}),
    ],
)
def test_no_step_waits_for_a_value_from_the_device(name: str, settings: dict[str, object]) -> None:
    # A tensor without data refuses to be read, as a GPU would make the host wait.
    net, space, _ = made()
    net = copy.deepcopy(net).to("meta")
    steps = {"warmup_steps": 2, "projection_steps": 100}
    optimizer = nasviz.optim.create(name, net, space, lr=0.1, slim=0.5, **steps, **settings)
    assert isinstance(optimizer, Slim)
    optimizer._scores.final = lambda: {i: float(i) for i in optimizer._index.ids}
    optimizer.inner._scores.final = lambda: dict.fromkeys(optimizer.structure_ids, 0.0)
    stepped(net, optimizer, 6, torch.Generator().manual_seed(0))
    assert optimizer.phase == "projection"
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        _ = optimizer.channels


def test_decisions_that_stay_on_the_device_end_as_those_read_at_once() -> None:
    ends, steps_of = [], []
    for is_lazy in (False, True):
        net, space, _ = made()
        steps = {"warmup_steps": 2, "projection_steps": 100}
        optimizer = nasviz.optim.create(
            "h2spg", net, space, lr=0.05, slim=0.5, projection="halfspace", epsilon=0.999, **steps
        )
        assert isinstance(optimizer, Slim)
        optimizer._is_lazy = is_lazy
        stepped(net, optimizer, 40, torch.Generator().manual_seed(0))
        assert optimizer.slim_phase == ("projection" if is_lazy else "training")
        _ = optimizer.zeroed_by
        assert optimizer.slim_phase == "training"
        assert set(optimizer.channels_zeroed_by.values()) == {"half-space"}
        steps_of.append(optimizer.channels_zeroed_at)
        ends.append([p.detach().clone() for p in net.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    assert steps_of[0] == steps_of[1]
