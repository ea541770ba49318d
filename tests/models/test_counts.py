"""Parameters and multiply-accumulates of the zoo: exact counts, beside what the documents print."""

import pytest
import torch
from torch import nn

from nasviz.catalog import NETWORKS, Configuration, Entry, NetworkSource
from nasviz.models import names
from nasviz.models.building import from_catalog
from nasviz.models.darts import Darts
from nasviz.models.nas_bench_201 import NasBench201
from nasviz.models.operations import Norms
from tests.models.zoo import counts

FORMS = [
    (NETWORKS[name], configuration) for name in names() for configuration in NETWORKS[name].configurations
]
FORM_IDS = [f"{entry.name}-{configuration.title.split()[0]}" for entry, configuration in FORMS]
TOLERANCE = 0.09
"""Of a printed count that counts something else, and says so."""
CIFAR, IMAGENET = (3, 32, 32), (3, 224, 224)
PLAIN = Norms(affine=False, pools="fixed")
S1, S2, S4 = (405_146, 68_434_432), (665_466, 100_928_000), (624_506, 96_733_696)
FOR_IMAGENET = {"cells": 14, "stem": "imagenet", "num_classes": 1000}
CONV = "nor_conv_3x3"
SKIP_LAST = [[CONV], [CONV], [CONV], ["skip_connect"], [CONV], [CONV]]


def form_counts(entry: Entry, configuration: Configuration) -> tuple[int, int]:
    shape = configuration.input_shape or entry.input_shape
    source = NetworkSource(entry.name, settings=configuration.settings)
    # On the meta device no weights are drawn; torchvision works out the widths of a RegNet with tensors.
    with torch.device("cpu" if entry.name == "regnet_800m" else "meta"):
        model = from_catalog(entry, source, shape, configuration.num_classes or entry.num_classes)
    return counts(model, shape)


@pytest.mark.parametrize(("entry", "configuration"), FORMS, ids=FORM_IDS)
def test_counts_are_exact_and_round_to_the_printed_ones(entry: Entry, configuration: Configuration) -> None:
    params, macs = form_counts(entry, configuration)
    assert params == configuration.counted["params"]
    assert macs == configuration.counted["macs"]
    known = configuration.counted
    for figure in configuration.printed:
        if figure.what in known and not figure.text.endswith("%"):
            digits = len(figure.text.removesuffix(" M").partition(".")[2])
            if round(known[figure.what] / 1e6, digits) != round(figure.value / 1e6, digits):
                assert figure.note, (
                    f"{figure.what}: {known[figure.what]:,} against {figure.text}, and no reason"
                )
                assert abs(known[figure.what] / figure.value - 1) < TOLERANCE


def test_every_printed_number_names_its_document_and_reads_as_its_value() -> None:
    for _, configuration in FORMS:
        for figure in configuration.printed:
            assert figure.source
            number, unit = figure.text.split()
            assert float(number) * {"M": 1e6, "%": 1}[unit] == pytest.approx(figure.value)


@pytest.mark.parametrize(
    ("arguments", "shape", "expected"),
    [
        ({"affine_pools": True}, CIFAR, (4_109_938, 600_002_304)),
        ({"norms": PLAIN}, CIFAR, (3_998_194, 600_002_304)),
        # The network of DARTS's own search.
        ({"channels": 16, "norms": PLAIN, "none": True}, CIFAR, (1_930_618, 300_255_744)),
        # The narrow spaces of RobustDARTS, searched by GSparsity with C = 16.
        ({"channels": 16, "norms": PLAIN, "space": "s1"}, CIFAR, S1),
        ({"channels": 16, "norms": PLAIN, "space": "s2"}, CIFAR, S2),
        ({"channels": 16, "norms": PLAIN, "space": "s4"}, CIFAR, S4),
        (FOR_IMAGENET | {"channels": 16}, IMAGENET, (3_590_032, 409_529_088)),
    ],
    ids=["affine pools", "plain", "search", "s1", "s2", "s4", "ImageNet"],
)
def test_darts_has_the_counts_of_its_forms(
    arguments: dict, shape: tuple[int, ...], expected: tuple[int, int]
) -> None:
    with torch.device("meta"):
        model = Darts(**arguments)
    assert counts(model, shape) == expected


def test_darts_with_one_variable_a_channel_of_each_norm_has_the_printed_parameters() -> None:
    model = Darts(norms=Norms(affine=False, pools="fixed"))
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    variables = sum(p.numel() for m in norms for p in m.parameters())
    exported = sum(p.numel() for p in model.parameters()) - variables + sum(m.num_features for m in norms)
    assert exported == 4_053_994
    assert round(exported / 1e6, 2) == 4.05


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"norms": Norms(affine=False)}, (1_685_722, 243_712_640)),
        ({"operations": [CONV]}, (1_531_546, 220_119_680)),
        ({"operations": SKIP_LAST}, (1_288_506, 184_730_240)),
    ],
)
def test_nas_bench_201_has_the_counts_of_its_forms(arguments: dict, expected: tuple[int, int]) -> None:
    assert counts(NasBench201(**arguments), CIFAR) == expected


@pytest.mark.parametrize(
    ("name", "num_classes", "expected"),
    [
        ("mobilenet_v2", 20, (2_249_492, 299_519_872)),
        ("resnet50", 1000, (25_557_032, 4_089_184_256)),
        ("swin_t", 100, (27_596_254, 2_962_467_840)),
        ("swin_t", 20, (27_534_734, 2_962_406_400)),
    ],
)
def test_torchvision_networks_of_the_documents_have_their_counts(
    name: str, num_classes: int, expected: tuple[int, int]
) -> None:
    with torch.device("meta"):
        model = from_catalog(NETWORKS[name], NetworkSource(name), IMAGENET, num_classes)
    assert counts(model, IMAGENET) == expected


@pytest.mark.parametrize(
    ("scale", "parameters"),
    [("200M", 2_319_482), ("400M", 5_098_986), ("600M", 5_672_330), ("800M", 6_593_386)],
)
def test_smaller_regnets_have_the_parameters_of_their_family(scale: str, parameters: int) -> None:
    source = NetworkSource("regnet_800m", settings={"scale": scale})
    model = from_catalog(NETWORKS["regnet_800m"], source, CIFAR, 10)
    assert sum(p.numel() for p in model.parameters()) == parameters
