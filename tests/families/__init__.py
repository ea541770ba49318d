"""Networks of other people by family, small and made lively: what the coverage table and the laws run on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from tests.families import timm_networks, torchvision_networks, transformers_networks
from tests.families.lively import enliven_

__all__ = ["FAMILIES", "Built", "build"]


class Built(NamedTuple):
    """A network and what it is called with."""

    model: nn.Module
    inputs: Any
    """A tensor, a tuple of arguments or a dict of keyword arguments."""


class Family(NamedTuple):
    """Names, and what makes the network of a name."""

    names: tuple[str, ...]
    create: Callable[[str], tuple[nn.Module, Any]]


FAMILIES = {
    "torchvision": Family(torchvision_networks.CLASSIFIERS, torchvision_networks.classifier),
    "segmentation": Family(torchvision_networks.SEGMENTERS, torchvision_networks.segmenter),
    "detection": Family(torchvision_networks.DETECTORS, torchvision_networks.detector_backbone),
    "timm": Family(timm_networks.NAMES, timm_networks.create),
    "transformers": Family(tuple(transformers_networks.CREATORS), transformers_networks.create),
}


def build(family: str, name: str, *, seed: int = 0) -> Built:
    """The network of a family, with lively weights."""
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of GoogLeNet and Inception about how they draw weights
        model, inputs = FAMILIES[family].create(name)
    enliven_(model)
    return Built(model, inputs)
