from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from nasviz.errors import DataError, InvalidSettingError
from nasviz.saliency import SALIENCIES, score


@dataclass
class Structure:
    id: int
    parameter_names: tuple[str, ...]


@dataclass
class Space:
    removable: list[Structure]


SPACE = Space([Structure(4, ("0.weight", "0.bias")), Structure(9, ("2.weight", "2.bias", "5.weight"))])


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 6), nn.Dropout(0.5), nn.Tanh(), nn.Linear(6, 3)
        )


LOOK_INSIDE = ("fisher", "naswot", "zen", "te_nas")
"""Scores that need a traced network; tests/saliency/test_proxies.py has one."""


def batches(num=3):
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(8, 4, generator=generator), torch.randint(3, (8,), generator=generator))
        for _ in range(num)
    ]


@pytest.mark.parametrize("name", [name for name in SALIENCIES if name not in LOOK_INSIDE])
def test_scoring_leaves_the_network_as_it_was(net, name):
    net[1].eval()
    net[0].weight.grad = torch.full((6, 4), 7.0)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    random_state = torch.get_rng_state()

    scores = score(name, net, SPACE, batches(), generator=torch.Generator().manual_seed(0))

    assert list(scores) == [4, 9]
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert [module.training for module in net.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random_state)
    assert (net[0].weight.grad == 7).all()
    assert net[2].weight.grad is None


def test_the_taylor_preview_is_the_mean_over_the_batches(net):
    net[3].p = 0.0
    expected = {4: 0.0, 9: 0.0}
    named = dict(net.named_parameters())
    for x, y in batches():
        net.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        for structure in SPACE.removable:
            found = (named[name] for name in structure.parameter_names)
            expected[structure.id] += abs(sum((p * p.grad).sum().item() for p in found)) / 3
    assert score("taylor", net, SPACE, batches()) == pytest.approx(expected, rel=1e-4, abs=1e-8)


def test_the_network_is_restored_when_a_batch_fails(net):
    net.eval()
    before = net[1].running_mean.clone()
    with pytest.raises(RuntimeError):
        score("taylor", net, SPACE, [*batches(1), (torch.zeros(2, 5), torch.zeros(2, dtype=torch.long))])
    assert not net.training
    assert torch.equal(net[1].running_mean, before)


def test_outputs_and_losses_of_any_form(net):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = net

        def forward(self, x, scale):
            return {"logits": (self.inner(x) * scale,)}

    space = Space([Structure(1, ("inner.0.weight",))])
    data = [((x, torch.tensor(2.0)), y) for x, y in batches()]
    assert score("taylor", Wrapped(), space, data)[1] > 0
    loss = lambda output, target: output["logits"][0].square().mean()  # noqa: E731
    assert score("taylor", Wrapped(), space, data, loss=loss)[1] > 0


def test_scores_that_need_gradients_need_a_batch(net):
    with pytest.raises(DataError, match="at least one batch"):
        score("taylor", net, SPACE)
    assert score("magnitude", net, SPACE)[4] > 0


def test_frozen_and_unused_parameters_have_no_gradient(net):
    net[0].requires_grad_(False)
    assert score("taylor", net, SPACE, batches())[4] == 0.0


def test_a_space_of_another_network_is_refused(net):
    space = Space([Structure(1, ("conv1.weight",))])
    with pytest.raises(InvalidSettingError, match=r"conv1\.weight"):
        score("taylor", net, space, batches())
