"""What tracing loses of training mode is found and told; what it keeps raises no alarm."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

import nasviz
from nasviz.errors import NasvizWarning, TrainingChangedWarning


class Autoencoder(nn.Module):
    """A variational one: its code is drawn in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.mu, self.spread, self.decoder = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(4, 6)

    def forward(self, x: Tensor) -> Any:
        code = self.mu(x)
        if self.training:
            code = code + torch.randn_like(code) * self.spread(x).exp()
        return self.decoder(code), code


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 0.5 * torch.randn_like(x) if self.training else x


class LayerDrop(nn.Module):
    """Leaves layers out at random, by a generator of torch or of Python."""

    def __init__(self, draw: Any, p: float) -> None:
        super().__init__()
        self.layers, self.draw, self.p = nn.ModuleList(nn.Linear(6, 6) for _ in range(3)), draw, p

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            if self.training and self.draw() < self.p:
                continue
            x = x + layer(x)
        return x


class Logits(nn.Module):
    """Returns probabilities in evaluation mode only."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        return y if self.training else y.softmax(1)


CHANGED = {
    "a variational autoencoder": (Autoencoder, "draws random numbers"),
    "noise": (lambda: nn.Sequential(nn.Linear(6, 6), Noise()), "draws random numbers"),
    "layers left out by torch": (lambda: LayerDrop(lambda: float(torch.rand([])), 0.5), "random numbers"),
    "layers left out by Python": (lambda: LayerDrop(random.random, 0.5), "random numbers"),
    "layers seldom left out": (lambda: LayerDrop(random.random, 0.2), "random numbers"),
    "softmax in evaluation mode": (Logits, "differs from the model"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_training_loses_is_warned_of_when_it_is_traced(name: str) -> None:
    torch.manual_seed(0)
    make, words = CHANGED[name]
    with pytest.warns(TrainingChangedWarning, match="allow_changed_training=True") as caught:
        net = nasviz.trace(make(), torch.randn(2, 6))

    assert caught[0].filename == __file__, "the warning points at the line that traced"
    assert issubclass(TrainingChangedWarning, NasvizWarning)
    assert nasviz.NasvizWarning is NasvizWarning
    assert any(words in change for change in net.parity.changed_training)
    assert set(net.parity.changed_training) <= set(net.parity.warnings)


KEPT = {
    "dropout": lambda: nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5), nn.Linear(6, 3)),
    "alpha dropout": lambda: nn.Sequential(nn.Linear(6, 6), nn.AlphaDropout(0.3)),
    "random relu": lambda: nn.Sequential(nn.Linear(6, 6), nn.RReLU()),
    "no randomness": lambda: nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_training_keeps_raises_no_alarm(name: str) -> None:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", NasvizWarning)
        net = nasviz.trace(KEPT[name](), torch.randn(2, 6))

    assert net.parity.changed_training == ()


def test_stochastic_depth_raises_no_alarm() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.drop = nn.Linear(6, 6), torchvision.ops.StochasticDepth(0.5, "row")

        def forward(self, x: Tensor) -> Tensor:
            return x + self.drop(self.linear(x))

    assert nasviz.trace(Deep(), torch.randn(4, 6)).parity.changed_training == ()


def drawn() -> tuple[float, ...]:
    return random.random(), np.random.rand(), float(torch.rand([]))  # noqa: NPY002


def test_generators_of_python_and_numpy_go_on_from_where_they_were() -> None:
    model = LayerDrop(random.random, 0.5)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002 (the one that networks draw from)
    torch.manual_seed(3)
    expected = drawn()
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002 (the one that networks draw from)
    torch.manual_seed(3)
    with pytest.warns(TrainingChangedWarning):
        nasviz.trace(model, torch.ones(2, 6))

    assert drawn() == expected
