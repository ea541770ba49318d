"""Networks as they are found: every classifier and segmentation network of torchvision is traced exactly."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from nasviz.trace import trace

CLASSIFIERS = torchvision.models.list_models(module=torchvision.models)
SEGMENTERS = torchvision.models.list_models(module=torchvision.models.segmentation)
QUICK = ("resnet18", "densenet121", "googlenet", "regnet_y_800mf", "mobilenet_v3_small", "squeezenet1_1")
"""`make test` looks at the traces of these in tests/laws/test_exactness.py, where they are cut too."""


def create(name: str) -> tuple[nn.Module, torch.Tensor]:
    """A network and images that are as small as it allows."""
    size = {"inception_v3": 299, "googlenet": 96, "alexnet": 96, "maxvit_t": 224}.get(name, 64)
    settings: dict[str, Any] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if name.startswith("vit_"):
        size = 56 if name == "vit_h_14" else 64
        settings["image_size"] = size
    if name in SEGMENTERS:
        settings |= {"weights_backbone": None, "aux_loss": None if name.startswith("lraspp") else True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of GoogLeNet and Inception about how they draw weights
        model = torchvision.models.get_model(name, weights=None, **settings)
    return model, torch.randn(2, 3, size, size)


def assert_traced(name: str) -> None:
    torch.manual_seed(0)
    model, images = create(name)
    network = trace(model, images)

    assert network.parity.warnings == ()
    assert set(network.parity.max_relative_error) >= {"eval", "batch", "train"}
    assert network.parity.worst < 1e-5
    assert list(network.state_dict()) == list(model.state_dict())
    assert network.trace_graph.num_parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in (*CLASSIFIERS, *SEGMENTERS) if n not in QUICK])
def test_every_network_is_traced_exactly(name: str) -> None:
    assert_traced(name)


def test_resnet18_has_the_counts_of_the_literature() -> None:
    torch.manual_seed(0)
    graph = trace(torchvision.models.resnet18(), torch.randn(1, 3, 224, 224)).trace_graph

    assert (len(graph), graph.num_parameters, graph.macs) == (69, 11_689_512, 1_814_073_344)
    assert sum(v.is_joint for v in graph) == 8
    assert graph["layer1_0_add"].name == "layer1.0.add"
    assert graph["layer1_0_add"].scope == ("layer1", "layer1.0")
    assert graph["layer1_0_add"].source.startswith("resnet.py:")
