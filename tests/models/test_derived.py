"""Genotypes, read as data, and the networks that are built from them."""

from __future__ import annotations

import pytest
import torch

import nasviz
from nasviz.catalog import NetworkSource
from nasviz.catalog.genotype import ACTIVATION_NAMES, DARTS_V2, OPERATION_NAMES, read_genotype
from nasviz.errors import InvalidSettingError
from nasviz.models.derived import DerivedNetwork, derived_network
from nasviz.models.operations import OPERATIONS
from nasviz.models.recurrent import ACTIVATIONS

BEST_201 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
MIXED = (
    "Genotype(normal=[[('sep_conv_3x3', 0), ('skip_connect', 0)], [], [('max_pool_3x3', 2)]],"
    " normal_concat=[2, 4], reduce=[[('skip_connect', 1)], [('none', 0)], []], reduce_concat=[2])"
)
RECURRENT = "Genotype(recurrent=[('tanh', 0), ('relu', 1), ('identity', 1)], concat=[1, 2, 3])"


def size(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("settings", "classes", "parameters"),
    [
        ({}, 10, 3_349_342),
        ({"stem": "imagenet", "channels": 48, "cells": 14}, 1000, 4_718_752),
        ({"genotype": BEST_201}, 10, 1_073_466),
        ({"genotype": BEST_201.replace("skip_connect", "nor_conv_3x3").replace("1x1", "3x3")}, 10, 1_531_546),
    ],
    ids=["DARTS_V2, CIFAR-10", "DARTS_V2, ImageNet", "NAS-Bench-201", "NAS-Bench-201, 3x3 only"],
)
def test_parameters_are_those_of_the_papers(settings: dict, classes: int, parameters: int) -> None:
    with torch.device("meta"):
        assert size(derived_network(classes, **settings)) == parameters


def test_an_auxiliary_head_learns_in_training_only() -> None:
    model, images = nasviz.zoo.create(
        "cells", channels=4, cells=3, auxiliary=0.4, drop_path=0.5, input_shape=(3, 8, 8)
    )
    assert isinstance(model, DerivedNetwork)
    assert [x.shape for x in model(*images)] == [(2, 10), (2, 10)]
    net = nasviz.trace(model, images)
    assert net.parity.changed_training == ()
    assert net.eval()(*images).shape == (2, 10)
    kinds = {path: type(m).__name__ for path, m in net.named_modules()}
    drops = {path.rpartition(".")[0] for path, kind in kinds.items() if kind == "StochasticDepth"}
    assert drops == {"cells.0.drops", "cells.1.drops", "cells.2.drops"}


def test_the_auxiliary_head_of_cifar_pools_to_two_by_two() -> None:
    with torch.device("meta"):
        network = derived_network(10, auxiliary=0.4)
        assert network.auxiliary[:2](torch.zeros(1, 576, 8, 8)).shape == (1, 576, 2, 2)
        assert size(network.auxiliary) == 476_426
        far = derived_network(1000, 3, (224, 224), stem="imagenet", channels=48, cells=14, auxiliary=0.4)
        assert far.auxiliary[:2](torch.zeros(1, 768, 7, 7)).shape == (1, 768, 2, 2)


@pytest.mark.parametrize("text", [DARTS_V2.text, BEST_201, MIXED, RECURRENT])
def test_text_is_read_back(text: str) -> None:
    found = read_genotype(text)
    assert read_genotype(found.text) == found
    assert read_genotype({"genotype": text}) == found
    assert read_genotype(f' {{"genotype": "{text}"}} '.replace("\n", "")) == found


def test_forms_of_public_code_are_read() -> None:
    pairs = str([pair for node in DARTS_V2.cells[0].nodes for pair in node])
    text = f"Genotype(normal={pairs}, normal_concat=range(2, 6))"
    assert read_genotype(text).cells == DARTS_V2.cells[:1]
    assert read_genotype("darts_v2") == DARTS_V2


def test_mixed_paths_keep_any_number_of_operations() -> None:
    found = read_genotype(MIXED)
    network = derived_network(10, channels=4, cells=3, genotype=MIXED)
    assert network.cells[0].out_channels == 8
    assert network.cells[1].out_channels == 8  # one node of a cell that doubles its channels
    assert network(torch.randn(2, 3, 8, 8)).shape == (2, 10)
    assert found.skip_share == 2 / 4


def test_a_recurrent_cell_keeps_its_operations() -> None:
    source = NetworkSource("cells", settings={"genotype": RECURRENT, "channels": 8}, num_classes=20)
    assert source.data_kind == "text"
    network, inputs = nasviz.models.build(source)
    assert [len(edge) for node in network.cell.nodes for edge in node.edges] == [1, 0, 1, 0, 1, 0]
    scores, state = network(*inputs)
    assert (scores.shape, state.shape) == ((2, 20), (2, 8))


def test_the_catalog_knows_the_operations_that_can_be_built() -> None:
    assert set(OPERATION_NAMES) == set(OPERATIONS)
    assert set(ACTIVATION_NAMES) == {"none", *ACTIVATIONS}


HOSTILE = {
    "code": "Genotype(normal=__import__('os').system('true'))",
    "attribute": "os.Genotype(normal=[('skip_connect', 0)])",
    "deep": "Genotype(normal=" + "[" * 5000 + "]" * 5000 + ")",
    "huge": "Genotype(normal=" + "[('skip_connect', 0)," * 10_000 + "])",
    "many nodes": f"Genotype(normal={[[('skip_connect', 0)]] * 17})",
    "large range": "Genotype(normal=[('skip_connect', 0)], normal_concat=range(0, 10**9))",
    "unknown": "Genotype(normal=[[('evil', 0)]])",
    "later state": "Genotype(normal=[[('skip_connect', 3)]])",
    "negative state": "Genotype(normal=[[('skip_connect', -1)]])",
    "dead state": "Genotype(normal=[[], [('skip_connect', 2)]])",
    "text for a state": "Genotype(normal=[[('skip_connect', '0')]])",
    "no output": "Genotype(normal=[[]])",
    "other output": "Genotype(normal=[[('skip_connect', 0)]], normal_concat=[7])",
    "argument": "Genotype(normal=[[('skip_connect', 0)]], x=1)",
    "string": "|nor_conv_3x3~1|",
    "two nodes": "|nor_conv_3x3~0|+|none~0|none~1|",
    "not JSON": "{genotype}",
    "nothing": "",
    "number": 7,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_genotypes_are_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(InvalidSettingError, match="is no genotype") as refused:
        read_genotype(HOSTILE[name])
    assert len(str(refused.value)) < 700
    with pytest.raises(InvalidSettingError):
        NetworkSource("cells", settings={"genotype": HOSTILE[name]})


def test_settings_that_a_genotype_has_no_place_for_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match="auxiliary"):
        derived_network(10, genotype=BEST_201, auxiliary=0.4)
