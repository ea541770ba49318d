"""The documents' networks run in the documents' order, on any image that is large enough."""

import re

import pytest
from torch import fx, nn

import nasviz
from nasviz.catalog import NETWORKS
from nasviz.models import create
from tests.models.zoo import SMALL, macs_of_layers


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


GOLDEN = [
    "0 1 2 3",
    "39 40 41",
    "4 5 6 7 8 9",
    "34",
    "42 43 44",
    "71",
    "10 11 12",
    "25",
    "35 36 37 38",
    "45 46 47 48 49",
    "62",
    "72 73 74 75",
    "13 14 15 19",
    "20",
    "26 27 28 29 33",
    "76",
    "50 51 52 56",
    "57",
    "63 64 65 66 70",
    "24",
    "77 79 81 82",
    "61",
]
FUNCTIONS = {
    **dict(zip(["add", *(f"add_{i}" for i in range(1, 7))], [20, 25, 34, 57, 62, 71, 76], strict=True)),
    "squeeze": 79,
    "squeeze_1": 81,
}


def test_the_segments_of_stacked_unets_are_those_of_the_published_drawing_in_its_order() -> None:
    network = nasviz.trace(*create("stacked_unets", width=0.1))
    segments = nasviz.search_space(network).segments

    def number(name: str) -> int:
        return FUNCTIONS.get(name) or int(re.findall(r"\d+", name)[0])

    found = [" ".join(str(number(segments.trace[v].name)) for v in s.vertices) for s in segments]
    assert found == GOLDEN


@pytest.mark.parametrize("name", sorted(set(SMALL) - {"darts_8", "darts_14"}))
def test_every_norm_has_its_scale_and_shift(name: str) -> None:
    model, _ = create(name, **SMALL[name])
    assert all(module.affine for module in model.modules() if isinstance(module, nn.BatchNorm2d))


@pytest.mark.parametrize("name", ["darts_8", "darts_14"])
def test_norms_of_darts_are_affine_behind_convolutions_and_behind_pools_where_asked(name: str) -> None:
    for affine_pools in (False, True):
        model, _ = create(name, **SMALL[name], affine_pools=affine_pools)
        plain = [path for path, m in model.named_modules() if isinstance(m, nn.BatchNorm2d) and not m.affine]
        assert bool(plain) is not affine_pools
        assert all("_pool_3x3" in path for path in plain)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("shape", [None, (1, 8, 8), (3, 17, 9)])
def test_any_image_that_is_large_enough_gives_scores(name: str, shape: tuple[int, ...] | None) -> None:
    model, inputs = create(name, input_shape=shape, num_classes=7, **SMALL[name])
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
