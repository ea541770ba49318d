"""The tables agree with themselves, with the documents and with torchvision."""

import subprocess
import sys

import pytest

from nasviz.catalog import DATASETS, FACTS, KINDS, NETWORKS, SALIENCIES, NetworkSource, find
from nasviz.errors import UnknownNameError
from nasviz.graph import search_space
from nasviz.runs import RunSettings
from nasviz.settings import METHODS
from tests.graph.networks import demonet, stacked_unets

ZOO = (
    "demonet",
    "stacked_unets",
    "darts_8",
    "darts_14",
    "darts_v2",
    "cells",
    "super_resnet_1m",
    "super_resnet_2m",
    "regnet_800m",
    "nas_bench_201",
    "preresnet_164",
    "mlp_digits",
)
ALL = [(kind, name) for kind, table in KINDS.items() for name in table]


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_every_entry_says_what_it_is_and_its_defaults_are_in_range(kind: str, name: str) -> None:
    entry = find(kind, name)
    assert entry.name == name
    assert entry.title
    assert entry.summary.endswith(".")
    assert entry.citation or name == "random"
    assert entry.complete({}).keys() == {setting.name for setting in entry.settings}
    assert all(setting.help.endswith(".") for setting in entry.settings)


@pytest.mark.parametrize("name", [name for name, entry in NETWORKS.items() if entry.family != "text"])
def test_every_network_has_an_input_that_it_can_compute_on(name: str) -> None:
    entry = NETWORKS[name]
    channels, height, width = entry.input_shape
    assert channels in (1, 3)
    assert 1 <= entry.least_size <= min(height, width)
    assert entry.num_classes in (10, 1000)
    assert entry.published["params"] > 0
    for configuration in entry.configurations:
        entry.complete(configuration.settings)
    RunSettings.of(network=NetworkSource(name), **entry.recipe)
    assert not entry.configurations or not entry.configurations[0].settings


def test_the_documents_networks_come_first_and_torchvision_is_complete() -> None:
    torchvision = pytest.importorskip("torchvision")
    names = list(NETWORKS)
    assert tuple(names[: len(ZOO)]) == ZOO
    assert {NETWORKS[name].family for name in ZOO} == {"documents"}
    assert names[len(ZOO)] == "recurrent_cell"
    assert names[len(ZOO) + 1 :] == torchvision.models.list_models(module=torchvision.models)
    assert len(names) == len(ZOO) + 1 + 80


def test_torchvision_rows_repeat_what_torchvision_publishes() -> None:
    models = pytest.importorskip("torchvision").models
    for name in list(NETWORKS)[len(ZOO) + 1 :]:
        choices = models.get_model_weights(name).__members__
        weights = choices.get("IMAGENET1K_V1") or choices["IMAGENET1K_SWAG_LINEAR_V1"]
        entry = NETWORKS[name]
        assert entry.published["params"] == weights.meta["num_params"], name
        assert entry.published["macs"] == round(weights.meta["_ops"] * 1e9), name
        assert entry.published["top1"] == weights.meta["_metrics"]["ImageNet-1K"]["acc@1"], name
        assert entry.input_shape[1:] == (weights.transforms().crop_size[0],) * 2, name


def test_published_selections_are_those_of_the_figures() -> None:
    """Figures 4 and 5 of ASGNAS: their sub-networks are those of table 1."""
    counts = NETWORKS["demonet"].published
    space = search_space(demonet())
    plan = space.plan(space.structures_of(selected("demonet")))
    assert (plan.params_after, plan.macs_after) == (counts["sub_params"], counts["sub_macs"])
    space = search_space(stacked_unets())
    ids = space.structures_of(selected("stacked_unets"))
    first = {space.trace[space.structure(i).vertices[0]].name for i in ids}
    assert (first, space.is_valid(ids)) == ({"pool13", "conv50", "conv63", "relu72"}, True)


def selected(name: str) -> tuple[str, ...]:
    selection = NETWORKS[name].selection
    assert selection is not None
    return selection.modules


def test_saliencies_give_their_formula_and_what_they_cannot_see() -> None:
    assert list(SALIENCIES)[:4] == ["snip", "taylor", "documents", "magnitude"]
    assert all(entry.formula and entry.caution.endswith(".") for entry in SALIENCIES.values())


@pytest.mark.parametrize("name", ["h2spg", "h2spg_otov3", "dhspg"])
def test_optimizers_offer_all_saliencies_and_those_first_that_a_step_gives_by_the_way(name: str) -> None:
    choices = METHODS[name].fields()["saliency"].choices
    by_step = tuple(n for n, entry in SALIENCIES.items() if entry.family == "step")
    assert choices[: len(by_step)] == by_step
    assert {SALIENCIES[n].family for n in choices[len(by_step) :]} == {"copy"}
    assert {entry.family for entry in SALIENCIES.values()} == {"step", "copy"}


def test_every_data_set_has_facts() -> None:
    assert DATASETS.keys() == FACTS.keys()


@pytest.mark.parametrize(
    ("kind", "asked", "offered"),
    [
        ("network", "demo-net", "demonet"),
        ("network", "resnet19", "resnet18"),
        ("saliency", "zzz", "taylor"),
        ("data", "digit", "digits"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(kind: str, asked: str, offered: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown {kind} '{asked}'.*{offered}"):
        find(kind, asked)


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"no table 'model'.*network"):
        find("model", "demonet")


def test_the_catalog_loads_no_torch() -> None:
    script = "import sys, nasviz.catalog; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", script], check=False).returncode == 0
