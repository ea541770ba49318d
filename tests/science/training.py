"""One training of the comparison: few noisy digits, H2SPG over SGD, and what is left of the network."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

import nasviz
from nasviz.optim import H2SPG
from nasviz.optim.groups import SpaceBinding
from nasviz.subnet import Subnetwork
from nasviz.subnet.latency import measure_latencies
from nasviz.subnet.zero import zero_channels
from nasviz.trace import TracedNetwork
from tests.science.networks import NETWORKS

__all__ = ["FINE_TUNING_STEPS", "STEPS", "Study"]

NUM_TRAIN = 200
NOISE = 0.4
"""Standard deviation of the noise on every image, in those of the images."""
STEPS, WARM_UP_STEPS, PROJECTION_STEPS, FINE_TUNING_STEPS = 400, 40, 80, 100
BATCH_SIZE, LATENCY_BATCH_SIZE = 64, 64
LR, MOMENTUM, WEIGHT_DECAY = 0.05, 0.9, 5e-4


@dataclass(frozen=True)
class Digits:
    """Normalised images `(N, 1, 8, 8)` with noise that stays the same, and labels `(N,)`."""

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]

    @classmethod
    def draw(cls, seed: int) -> Digits:
        """200 images to learn from, as many of each class; the other 1,597 to judge by."""
        digits = load_digits()
        images = (digits.images - digits.images.mean()) / digits.images.std()
        noisy = images + NOISE * np.random.default_rng(seed).standard_normal(images.shape)
        x, y = torch.from_numpy(noisy).float().unsqueeze(1), torch.from_numpy(digits.target)
        few, many = train_test_split(
            np.arange(len(y)), train_size=NUM_TRAIN, stratify=digits.target, random_state=seed
        )
        return cls((x[few], y[few]), (x[many], y[many]))


class Study:
    """A network, a seed, and the digits that this seed draws: everything is trained from the same start."""

    def __init__(self, network: str, seed: int) -> None:
        self.network, self.seed = network, seed
        self.digits = Digits.draw(seed)
        self.space = nasviz.search_space(self._fresh())

    def scores(self, saliency: str) -> dict[int, float]:
        """Averaged scores at the end of the warm-up."""
        net, optimizer = self._start(saliency, ())
        fit(net, optimizer, self.digits.train, STEPS, self.seed, last=WARM_UP_STEPS)
        return optimizer.scores

    def train(self, erased: Iterable[int] = ()) -> Trained:
        """Train from the start with H2SPG, which selects these structures at the end of the warm-up.

        Scoring changes no step, so it does not matter by which scores they were found.
        """
        net, optimizer = self._start("magnitude", tuple(erased))
        fit(net, optimizer, self.digits.train, STEPS, self.seed)
        return Trained(self, net, optimizer.selected)

    def slim(self, saliency: str, share: float) -> Slimmed:
        """Train from the start while this share of the channels goes to zero, and no structure does."""
        net = self._fresh()
        optimizer = nasviz.optim.create(
            "h2spg",
            net,
            self.space,
            base=torch.optim.SGD(net.parameters(), LR, MOMENTUM, weight_decay=WEIGHT_DECAY),
            target_sparsity=0,
            slim=share,
            warmup_steps=WARM_UP_STEPS,
            projection_steps=PROJECTION_STEPS,
            saliency=saliency,
            score_every=1,
            generator=torch.Generator().manual_seed(self.seed),
        )
        fit(net, optimizer, self.digits.train, STEPS, self.seed)
        return Slimmed(self, net, (), zero_channels(net, self.space))

    def _start(self, saliency: str, erased: tuple[int, ...]) -> tuple[TracedNetwork, H2SPG]:
        net = self._fresh()
        binding = SpaceBinding(net, self.space)
        optimizer = H2SPG(
            torch.optim.SGD(net.parameters(), LR, MOMENTUM, weight_decay=WEIGHT_DECAY),
            binding.groups,
            lambda scores: binding.select({i: float(i not in erased) for i in scores}, len(erased)),
            warmup_steps=WARM_UP_STEPS,
            projection_steps=PROJECTION_STEPS,
            saliency=saliency,
            score_every=1,
            generator=torch.Generator().manual_seed(self.seed),
        )
        return net, optimizer

    def _fresh(self) -> TracedNetwork:
        torch.manual_seed(self.seed)
        return nasviz.trace(NETWORKS[self.network](), torch.randn(2, 1, 8, 8))


@dataclass
class Trained:
    """A trained network with what was selected in it."""

    study: Study
    net: TracedNetwork
    selected: tuple[int, ...]

    def judge(self, erased: Iterable[int] | None = None, fine_tuning_steps: int = 0) -> dict[str, Any]:
        """Construct the sub-network, and measure it beside the full network."""
        test = self.study.digits.test
        sub = self._construct(self.selected if erased is None else erased)
        small = sub.module
        if fine_tuning_steps:
            sgd = torch.optim.SGD(small.parameters(), LR, MOMENTUM, weight_decay=WEIGHT_DECAY)
            fit(small, sgd, self.study.digits.train, fine_tuning_steps, self.study.seed + 1000)
        nets, images = (self.net, small), test[0][:LATENCY_BATCH_SIZE]
        full_latency, latency = measure_latencies(nets, images, clock=time.process_time)
        return {
            "accuracy": accuracy(small, test),
            "parameters": sub.report.params_after,
            "macs": sub.report.macs_after,
            "latency_ms": latency.median_ms,
            "latency_share": latency.median_ms / full_latency.median_ms,
            "selected": list(sub.report.selected),
            "orphaned": list(sub.report.orphaned),
            "max_relative_error": sub.report.max_relative_error,
        }

    def _construct(self, erased: Iterable[int]) -> Subnetwork:
        return nasviz.construct(self.net, self.study.space, erased)

    def magnitudes(self) -> dict[int, float]:
        """Average magnitude of each structure, as trained."""
        named = dict(self.net.named_parameters())
        found = {}
        for structure in self.study.space.removable:
            square = sum(float(named[name].detach().square().sum()) for name in structure.parameter_names)
            found[structure.id] = square**0.5 / structure.num_parameters
        return found


@dataclass
class Slimmed(Trained):
    """A trained network in which channels have become zero."""

    channels: tuple[int, ...]

    def judge(self, erased: Iterable[int] | None = None, fine_tuning_steps: int = 0) -> dict[str, Any]:
        """The same, with the channel groups that are gone as what was selected."""
        return super().judge(erased, fine_tuning_steps) | {"selected": list(self.channels)}

    def _construct(self, erased: Iterable[int]) -> Subnetwork:
        return nasviz.construct(self.net, self.study.space, erased, channels=self.channels)


def fit(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: tuple[Tensor, Tensor],
    steps: int,
    seed: int,
    last: int | None = None,
) -> None:
    """Train for so many steps, or the first of them, the learning rate falling along half a cosine."""
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    images, labels = data
    net.train()
    for _ in range(last or steps):
        batch = torch.randperm(len(labels), generator=generator)[:BATCH_SIZE]
        optimizer.zero_grad()
        functional.cross_entropy(net(images[batch]), labels[batch]).backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def accuracy(net: nn.Module, data: tuple[Tensor, Tensor]) -> float:
    """Share of right answers in evaluation mode."""
    net.eval()
    right = sum(
        int((net(x).argmax(1) == y).sum()) for x, y in zip(*(t.split(512) for t in data), strict=True)
    )
    return right / len(data[1])
