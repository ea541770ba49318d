"""Outputs whose loss is accepted: what only they need may go, and the others stay exact."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

import nasviz
from nasviz.errors import GraphError, UnknownVertexError
from nasviz.graph import SearchSpace


class Heads(NamedTuple):
    main: Tensor
    aux: Tensor


class TwoHeads(nn.Module):
    """The auxiliary head ends in a softmax, and reads the sum of two branches, as the main one does."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 5), nn.Linear(4, 5)
        self.main, self.aux = nn.Linear(5, 3), nn.Sequential(nn.Linear(5, 3), nn.Softmax(1))

    def forward(self, x: Tensor) -> Heads | Tensor:
        features = self.a(x) + self.b(x)
        return Heads(self.main(features), self.aux(features)) if self.training else self.main(features)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return nasviz.trace(TwoHeads(), torch.randn(2, 4))


def names(space: SearchSpace) -> list[str]:
    return [s.name for s in space.removable]


def test_an_optional_head_is_a_structure(network: nn.Module) -> None:
    assert names(nasviz.search_space(network)) == ["a", "b"]
    space = nasviz.search_space(network, optional=["aux"])

    assert names(space) == ["a", "b", "aux.0-1"]
    assert space.max_sparsity == 2
    assert [o.is_required for o in space.trace.outputs] == [True, False]
    assert SearchSpace.from_json(space.to_json()).removable == space.removable


@pytest.mark.parametrize("wish", ["aux", "output_1", "aux.1", "aux_1"])
def test_an_output_is_named_by_place_id_or_origin(network: nn.Module, wish: str) -> None:
    space = nasviz.search_space(network, optional=[wish])
    assert [o.name for o in space.trace.outputs if not o.is_required] == ["aux"]


def test_the_other_outputs_stay_exact(network: nn.Module) -> None:
    space = nasviz.search_space(network, optional=["aux"])
    x = torch.randn(3, 4)
    for chosen in ([s.id for s in space.removable[1:]], [space.removable[2].id]):
        sub = nasviz.construct(network, space, chosen, inputs=x)

        assert sub.report.lost_outputs == ("output_1",)
        trained = sub.module.train()(x)
        assert isinstance(trained, Heads)
        assert trained.aux is None
        torch.testing.assert_close(trained.main, sub.module.eval()(x))
        assert not any(name.startswith("aux") for name, _ in sub.module.named_parameters())


def test_an_unknown_output_and_the_last_one_are_refused(network: nn.Module) -> None:
    with pytest.raises(UnknownVertexError, match=r"it has output_0 \(main\), output_1 \(aux\)"):
        nasviz.search_space(network, optional=["extra"])
    with pytest.raises(GraphError, match="leave at least one"):
        nasviz.search_space(network, optional=["main", "aux"])
