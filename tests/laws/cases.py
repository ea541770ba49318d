"""The networks that the laws are tried on, made lively: fresh weights hide errors."""

from __future__ import annotations

import random
import warnings
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn

import nasviz
from nasviz.graph import SearchSpace
from nasviz.models.demonet import DemoNet
from nasviz.models.stacked_unets import StackedUnets

SMALL = {
    "demonet": 28,
    "stacked_unets": 32,
    "resnet18": 32,
    "mobilenet_v3_small": 32,
    "squeezenet1_1": 64,
}
"""Names and image sizes of the default table: branches, sums, gates, concatenations."""
LARGE = {
    "densenet121": 64,
    "googlenet": 64,
    "regnet_y_800mf": 64,
    "shufflenet_v2_x0_5": 64,
    "resnext50_32x4d": 64,
    "densenet161": 64,
    "efficientnet_b0": 64,
    "efficientnet_v2_s": 64,
    "mnasnet0_5": 64,
    "mobilenet_v2": 64,
    "regnet_x_400mf": 64,
    "inception_v3": 128,
    "convnext_tiny": 64,
    "vit_b_16": 224,
    "swin_t": 64,
    "swin_v2_t": 64,
    "maxvit_t": 224,
}
"""The table of `make slow`."""


@dataclass(frozen=True)
class Case:
    """A traced network with its search space."""

    model: nn.Module
    net: nn.Module
    space: SearchSpace
    x: torch.Tensor

    def random_set(self, k: int, seed: int = 0) -> tuple[int, ...]:
        """A valid set of `k` structures."""
        rng = random.Random(seed)
        return self.space.select({s.id: rng.random() for s in self.space.removable}, k)


@lru_cache(maxsize=1)  # the tests of one network stand together
def case(name: str, size: int) -> Case:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = build(name)
    enliven_(model)
    channels = 1 if name == "demonet" else 3
    x = torch.randn(4, channels, size, size)
    net = nasviz.trace(model, x)
    return Case(model, net, nasviz.search_space(net), x)


def build(name: str) -> nn.Module:
    if name == "demonet":
        return DemoNet()
    if name == "stacked_unets":
        return StackedUnets()
    from torchvision.models import get_model

    return get_model(name, weights=None, **({"image_size": 224} if name == "vit_b_16" else {}))


def enliven_(model: nn.Module) -> None:
    """Weights that keep the scale of what goes in; norms whose weights and statistics are random."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm) and module.weight is not None:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    for name, parameter in model.named_parameters():
        if name.endswith(("layer_scale", "gamma")):
            nn.init.uniform_(parameter, 0.5, 1.5)
