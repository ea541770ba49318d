"""SparseNAS as a bi-level search: exact zeros, exact sub-networks, exact resume."""

from __future__ import annotations

import copy
import io

import pytest
import torch

import nasviz
from nasviz.errors import InvalidSettingError
from nasviz.nas.methods import DARTS
from nasviz.nas.sparsenas import sparse_architecture
from tests.nas.networks import NETWORKS
from tests.nas.test_laws import batches, train

NAMES = ("residual", "fork")


def start(name: str, **settings):
    torch.manual_seed(0)
    net = nasviz.trace(NETWORKS[name](), torch.randn(2, 1, 8, 8))
    net, space = nasviz.add_switches(net, nasviz.search_space(net))
    alphas = {switch.parameter for switch in space.switches}
    with torch.no_grad():  # the weakest come to zero first, and not all of a node at once
        for number, switch in enumerate(space.switches):
            net.get_parameter(switch.parameter).fill_(1.0 if number % 2 else 0.1)
    weights = [p for n, p in net.named_parameters() if n not in alphas]
    sgd = torch.optim.SGD(weights, lr=0.05, momentum=0.9)
    order = settings.pop("order", "first")
    chosen = {"strength": 0.005, "architecture_lr": 0.02, "alpha": 0.9} | settings
    return net, space, DARTS(net, sgd, sparse_architecture(net, space, **chosen), order=order)


@pytest.mark.parametrize("order", ["first", "second"])
@pytest.mark.parametrize("name", NAMES)
def test_what_became_zero_is_cut_exactly(name: str, order: str) -> None:
    net, space, search = start(name, order=order)
    values = {}
    for step in range(60):
        train(net, search, step, step + 1)
        values = {s.vertex: net.get_parameter(s.parameter) for s in space.switches}
        zero = [p for p in search.architecture.proximal_point() if not p.any()]
        if zero:
            break
    search.architecture.settle_()
    gone = [s.structure for s in space.switches if not values[s.vertex].any()]
    assert gone
    assert space.is_valid(gone)
    sub = nasviz.construct(net, space)
    assert sub.report.selected == tuple(sorted(gone))
    x, zeroed = batches(7)[0][0], copy.deepcopy(net)
    nasviz.project_to_zero_(zeroed, space, gone)
    torch.testing.assert_close(sub.module.eval()(x), zeroed.eval()(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_adaptive", [True, False])
def test_it_goes_on_bit_by_bit(is_adaptive: bool) -> None:
    net, _, search = start("residual", is_adaptive=is_adaptive, strength=0.05)
    train(net, search, 0, 3)
    network, file = copy.deepcopy(net.state_dict()), io.BytesIO()
    torch.save(search.state_dict(), file)
    expected = train(net, search, 3, 6)

    other, _, again = start("residual", is_adaptive=is_adaptive, strength=0.05)
    other.load_state_dict(network)
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True))
    assert train(other, again, 3, 6) == expected
    for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_softmax_is_refused() -> None:
    net = nasviz.trace(NETWORKS["inception"](), torch.randn(2, 1, 8, 8))
    net, space = nasviz.add_switches(net, nasviz.search_space(net), kind="softmax")
    with pytest.raises(InvalidSettingError, match="plain switches"):
        sparse_architecture(net, space, strength=0.1)
