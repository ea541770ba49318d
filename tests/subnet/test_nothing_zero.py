"""A construction from zeros tells where there are none; and all channels that are zero are found."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import nasviz
from nasviz.errors import NothingZeroWarning


class Residual(nn.Module):
    """Blocks that may go."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
            for _ in range(4)
        )
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x.mean((2, 3)))


X = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.randint(4, (16,), generator=torch.Generator().manual_seed(1))


def trained(steps: int):
    torch.manual_seed(0)
    net = nasviz.trace(Residual(), X)
    space = nasviz.search_space(net)
    optimizer = nasviz.optim.create(
        "h2spg", net, space, lr=0.05, target_sparsity=2, warmup_steps=5, projection_steps=10
    )
    ema = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    net.train()
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(X), Y).backward()
        optimizer.step()
        ema.update_parameters(net)
    return net, ema.module, space, optimizer


@pytest.mark.parametrize(("steps", "phase"), [(3, "warm-up"), (9, "projection")])
def test_a_network_that_stopped_early_is_named_with_its_phase(steps, phase):
    net, _, space, optimizer = trained(steps)
    with pytest.warns(NothingZeroWarning, match=f"in phase '{phase}'") as caught:
        sub = nasviz.construct(net, space)
    assert sub.report.params_after == sub.report.params_before
    assert sub.report.notes == (str(caught[0].message),)
    assert ("erased=optimizer.selected" in sub.report.notes[0]) == bool(optimizer.selected)


def test_an_average_of_weights_is_told_and_cut_by_what_was_selected():
    net, ema, space, optimizer = trained(25)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(nasviz.construct(net, space).report.selected) == set(optimizer.selected)
    with pytest.warns(NothingZeroWarning, match="erased=optimizer.selected"):
        nasviz.construct(ema, space)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sub = nasviz.construct(ema, space, erased=optimizer.selected)
        assert nasviz.construct(ema, space, erased=()).report.notes == ()
    assert sub.report.params_after < sub.report.params_before
    assert "the removed parameters were not zero" in sub.report.notes[0]
    assert sub.report.effect > 0
    nasviz.subnet.project_to_zero_(ema, space, optimizer.selected)
    ema.eval(), sub.module.eval()
    torch.testing.assert_close(sub.module(X), ema(X), rtol=1e-5, atol=1e-6)


class Plain(nn.Module):
    """A norm behind one convolution, none behind the others; one of them in groups of one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6)
        self.deep = nn.Conv2d(6, 6, 3, groups=6)
        self.b, self.c, self.head = nn.Conv2d(6, 5, 1), nn.Conv2d(5, 5, 1), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu(self.deep(nn.functional.relu(self.norm(self.a(x)))))
        x = nn.functional.relu(self.b(x))
        x = x + nn.functional.relu(self.c(x))
        return self.head(x.mean((2, 3)))


def plain() -> Plain:
    torch.manual_seed(0)
    made = Plain()
    for _ in range(3):
        made(X)  # running statistics of some use
    return made.eval()


def cut(model: nn.Module) -> dict[str, tuple[int, int]]:
    net = nasviz.trace(model, X)
    sub = nasviz.construct(net, nasviz.search_space(net))
    torch.testing.assert_close(sub.module(X), model(X), rtol=1e-4, atol=1e-5)
    return dict(sub.report.widths)


@torch.no_grad()
def test_channels_behind_a_norm_of_zero_scale_and_shift_are_cut():
    model = plain()
    model.norm.weight[[1, 4]] = 0
    model.norm.bias[[1, 4]] = 0
    model.deep.bias[[1, 2]] = 0  # channel 4 is some constant behind it
    model.norm.weight[5] = 0  # its shift is left
    assert set(cut(model).values()) == {(6, 5)}


@torch.no_grad()
def test_a_sum_is_silent_where_both_of_its_operands_are():
    model = plain()
    model.b.weight[[0, 2]] = 0
    model.b.bias[[0, 2]] = 0
    with pytest.warns(NothingZeroWarning):
        assert cut(model) == {}  # the other operand of the sum is not zero
    model.c.weight[[2, 3]] = 0
    model.c.bias[[2, 3]] = 0
    assert list(cut(model).values()) == [(5, 4), (5, 4)]


def test_filters_that_prune_has_zeroed_are_cut_and_masks_that_are_on_are_told():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 2, 3)).eval()
    prune.ln_structured(model[0], "weight", amount=0.5, n=2, dim=0)
    net = nasviz.trace(model, X)
    with pytest.warns(NothingZeroWarning, match=r"Masks of torch.nn.utils.prune are on \(0.weight_mask\)"):
        nasviz.construct(net, nasviz.search_space(net))
    prune.remove(model[0], "weight")
    assert list(cut(model).values()) == [(8, 4)]
