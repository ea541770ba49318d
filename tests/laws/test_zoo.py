"""The documents' networks: as many structures as counted, and every cut of them exact."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest
import torch
from torch import nn

import nasviz
from nasviz.catalog import NETWORKS
from nasviz.graph import SearchSpace
from nasviz.models.darts import Darts
from nasviz.models.nas_bench_201 import NasBench201
from nasviz.models.operations import Norms
from tests.laws.cases import Case, enliven_
from tests.laws.test_exactness import SHARES, check_case

SMALL: dict[str, tuple[dict[str, Any], int, int]] = {
    "darts_8": ({"channels": 2, "cells": 1}, 14 * 4 + 8, 64),
    "darts_14": ({"channels": 2, "cells": 1, "affine_pools": True}, 14 * 6 + 8, 91),
    "darts_v2": ({"channels": 4, "cells": 3}, 6, 6),
    "cells": ({"channels": 4, "cells": 3}, 6, 6),
    "super_resnet_1m": ({"width": 0.1}, 134, 128),
    "regnet_800m": ({"family": "x"}, 20, 16),
    "nas_bench_201": ({"channels": 4, "cells": 1}, 3 * 6 * 2 + 4, 38),
    "preresnet_164": ({"channels": 4, "blocks": 2}, 9, 6),
}
"""Settings under which a network is quick; how many structures it then has, and how many of them can go."""
STRUCTURES = ("darts_8", "darts_14", "darts_v2", "super_resnet_2m", "nas_bench_201", "preresnet_164")


@lru_cache(maxsize=1)  # the tests of one network stand together
def made(name: str, small: bool = True) -> Case:
    torch.manual_seed(0)
    entry = NETWORKS[name]
    shape = (entry.input_shape[0], 16, 16) if small else entry.input_shape
    model, (images,) = nasviz.zoo.create(name, input_shape=shape, **(SMALL[name][0] if small else {}))
    enliven_(model)
    images = torch.randn(4, *images.shape[1:])
    if name == "darts_14" and not small:
        calibrate_(model, images)
    net = nasviz.trace(model, images)
    return Case(model, net, nasviz.search_space(net, collapse=entry.collapse), images)


@torch.no_grad()
def calibrate_(model: nn.Module, images: torch.Tensor) -> None:
    """Statistics of these images: by any others, sums of seven operations overflow before the last cell."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@pytest.mark.parametrize("share", [*SHARES, "counts"])
@pytest.mark.parametrize("name", SMALL, scope="module")
def test_a_small_network_has_its_structures_and_is_cut_exactly(
    name: str, share: str, record_property
) -> None:
    case = made(name)
    if share == "counts":
        assert (len(case.space.removable), case.space.max_sparsity) == SMALL[name][1:]
    else:
        check_case(case, share, 0, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(
    "name", [n for n in nasviz.zoo.names() if n not in ("mlp_digits", "recurrent_cell")], scope="module"
)
def test_a_network_in_full_size_is_cut_exactly(name: str, share: str, record_property) -> None:
    check_case(made(name, small=False), share, 0, record_property)


def space_of(name: str, **settings: Any) -> SearchSpace:
    entry = NETWORKS[name]
    narrow = {"width": 0.1, "channels": 2}
    settings |= {s.name: narrow[s.name] for s in entry.settings if s.name in narrow}
    shape = (entry.input_shape[0], 32, 32)
    net = nasviz.trace(*nasviz.zoo.create(name, input_shape=shape, **settings))
    return nasviz.search_space(net, collapse=entry.collapse)


@pytest.mark.slow
@pytest.mark.parametrize("name", STRUCTURES, scope="module")
def test_structures_are_as_many_as_the_catalog_says(name: str) -> None:
    space, known = space_of(name), NETWORKS[name].published
    assert len(space.removable) == known["num_structures"]
    assert space.max_sparsity == known["max_sparsity"]


@pytest.mark.slow
def test_with_affine_pools_every_operation_of_darts_but_the_identity_is_a_structure() -> None:
    assert len(space_of("darts_14", affine_pools=True).removable) == 14 * 14 * 6 + 16 == 1192


@pytest.mark.slow
def test_without_collapse_and_affine_norms_algorithm_2_finds_484_candidates_in_darts() -> None:
    model = Darts(channels=2, norms=Norms(affine=False, pools="fixed"))
    space = nasviz.search_space(nasviz.trace(model, torch.randn(2, 3, 32, 32)))
    assert len(space.structures) == 484
    # Without a shift, a norm behind zeros is not zero in evaluation: such a candidate must stay.
    assert len(space.removable) < 484


@pytest.mark.parametrize("affine", [True, False])
def test_only_affine_norms_make_a_convolution_removable(affine: bool) -> None:
    model = NasBench201(channels=2, cells=1, norms=Norms(affine=affine))
    space = nasviz.search_space(nasviz.trace(model, torch.randn(2, 3, 8, 8)))
    assert len(space.structures) == 40
    assert len(space.removable) == (40 if affine else 2)  # the shortcuts have no norm
