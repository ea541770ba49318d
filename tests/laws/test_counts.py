"""Golden counts: how many removal structures known networks have, and how many of them may go together.

The counts of torchvision's networks were found by another implementation first; RegNetX-800MF's are published
with the method (20 structures, at most 16 of which may go).
"""

from __future__ import annotations

import pytest
import torch

import nasviz
from nasviz.graph import SearchSpace
from tests.trace.test_torchvision import create

COUNTS = {
    "resnet18": 11,
    "densenet121": 58,
    "googlenet": 36,
    "regnet_y_800mf": 18,
    "mobilenet_v3_small": 6,
    "convnext_tiny": 18,
    "swin_t": 24,
    "vit_b_16": 24,
}


def space_of(name: str) -> SearchSpace:
    torch.manual_seed(0)
    model, images = create(name)
    return nasviz.search_space(nasviz.trace(model, images))


@pytest.mark.parametrize("name", COUNTS)
def test_networks_have_their_known_number_of_structures(name: str) -> None:
    assert len(space_of(name).removable) == COUNTS[name]


def test_regnet_x_has_its_published_numbers() -> None:
    from torchvision.models import regnet_x_800mf

    network = nasviz.trace(regnet_x_800mf(num_classes=10), torch.randn(2, 3, 32, 32))
    space = nasviz.search_space(network)
    assert (len(space.removable), space.max_sparsity) == (20, 16)
