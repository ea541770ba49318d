"""The documents' networks have the published counts, and run in the documents' order."""

import re

import pytest
import torch
from torch import Tensor, fx, nn

from nasviz.catalog import NETWORKS
from nasviz.models import create, names

COUNTS = {"demonet": (817_010, 208_871_584), "stacked_unets": (795_466, 183_915_136)}


def macs_of_layers(model: nn.Module, image: Tensor) -> dict[str, int]:
    macs: dict[str, int] = {}

    def counter(name: str) -> object:
        def count(module: nn.Module, _: object, output: Tensor) -> None:
            macs[name] = output.numel() * module.weight[0].numel()

        return count

    layers = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    handles = [module.register_forward_hook(counter(name)) for name, module in layers]
    with torch.no_grad():
        model.eval()(image)
    for handle in handles:
        handle.remove()
    return macs


def test_the_zoo_holds_the_documents_networks() -> None:
    assert names() == tuple(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_the_published_ones(name: str) -> None:
    model, (images,) = create(name)
    params = sum(parameter.numel() for parameter in model.parameters())
    macs = sum(macs_of_layers(model, images[:1]).values())
    assert (params, macs) == COUNTS[name]
    assert (params, macs) == tuple(NETWORKS[name].published[key] for key in ("params", "macs"))


def test_the_published_sub_network_of_stacked_unets_has_the_published_macs() -> None:
    model, (images,) = create("stacked_unets")
    macs = macs_of_layers(model, images[:1])
    number = {name: int(re.sub(r"\D", "", name)) for name in macs}
    kept = [name for name in macs if number[name] in {*range(13), *range(24, 39), 82}]
    assert sum(macs[name] for name in kept) == NETWORKS["stacked_unets"].published["sub_macs"]


def test_stacked_unets_runs_in_the_order_of_its_node_numbers() -> None:
    model, _ = create("stacked_unets", width=0.1)
    nodes = fx.symbolic_trace(model).graph.nodes
    numbers = [int(re.sub(r"\D", "", str(node.target))) for node in nodes if node.op == "call_module"]
    assert numbers == sorted(numbers)
    assert {0, 38, 39, 75, 77, 82} <= set(numbers)


@pytest.mark.parametrize("name", COUNTS)
def test_every_norm_has_its_scale_and_shift(name: str) -> None:
    model, _ = create(name)
    assert all(module.affine for module in model.modules() if isinstance(module, nn.BatchNorm2d))


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("shape", [None, (1, 8, 8), (3, 17, 9)])
def test_any_image_that_is_large_enough_gives_scores(name: str, shape: tuple[int, ...] | None) -> None:
    model, inputs = create(name, input_shape=shape, num_classes=7, width=0.25)
    for training in (True, False):
        assert model.train(training)(*inputs).shape == (2, 7)


def test_width_scales_every_convolution() -> None:
    model, _ = create("demonet", width=0.25)
    widths = {name: m.out_channels for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    assert widths == {
        "conv1": 8,
        "conv2": 22,
        "conv3": 22,
        "conv4": 26,
        "conv5": 26,
        "conv6": 46,
        "conv7": 36,
        "conv8": 36,
    }
