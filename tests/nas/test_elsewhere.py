from __future__ import annotations

import pytest
import torch
from torch import nn

from nasviz.errors import InvalidSettingError
from nasviz.nas.functional_weights import FunctionalWeights


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x):
        return self.norm(self.second(self.first(x)))


def test_the_network_answers_as_functional_call_does_and_is_itself_again() -> None:
    torch.manual_seed(0)
    net, x = Tied(), torch.randn(5, 3)
    weights = list(net.parameters())
    elsewhere = FunctionalWeights(net, weights, [])
    others = [torch.randn_like(w).requires_grad_() for w in weights]
    names = [name for name, _ in net.named_parameters()]
    before = {name: value.clone() for name, value in net.state_dict().items()}

    found = elsewhere.loss(lambda: net(x).square().sum())(others, [])

    answer = torch.func.functional_call(net, dict(zip(names, others, strict=True)), (x,))
    assert torch.equal(found, answer.square().sum())
    assert all(a is b for a, b in zip(net.parameters(), weights, strict=True))
    assert net.second.weight is net.first.weight
    assert torch.equal(before["norm.weight"], net.norm.weight)
    assert torch.autograd.grad(found, others)[0].any()


def test_statistics_stay_where_they_were_learned() -> None:
    torch.manual_seed(0)
    net, x = Tied(), torch.randn(5, 3)
    weights = list(net.parameters())
    elsewhere = FunctionalWeights(net, weights, [])
    copy = elsewhere.copy()
    loss = elsewhere.loss(lambda: net(x).sum())
    for _ in range(2):
        loss(copy.weights, [])
    loss([w.detach() + 1 for w in weights], [])
    assert net.norm.num_batches_tracked.item() == 0
    assert not net.norm.running_mean.any()
    assert copy.statistics[2].item() == 2
    loss(weights, [])
    assert net.norm.num_batches_tracked.item() == 1
    torch.testing.assert_close(net.norm.running_mean, copy.statistics[0] / 0.19 * 0.1)


def test_an_error_leaves_the_network_as_it_was() -> None:
    net = Tied()
    weights = list(net.parameters())
    elsewhere = FunctionalWeights(net, weights, [])

    def fail() -> torch.Tensor:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        elsewhere.loss(fail)([torch.zeros_like(w) for w in weights], [])
    assert all(a is b for a, b in zip(net.parameters(), weights, strict=True))


def test_foreign_tensors_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match="1 of 1 tensors"):
        FunctionalWeights(Tied(), [nn.Parameter(torch.zeros(1))], [])
