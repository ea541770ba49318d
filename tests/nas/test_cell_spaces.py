"""The cell spaces of the documents: how many architecture parameters, shared by which cells."""

import pytest
import torch

import nasviz
from nasviz.models.cells import CellConfig, SearchCell
from nasviz.models.darts import cell_space
from nasviz.models.nas_bench_201 import NasBench201
from nasviz.models.operations import Norms
from nasviz.nas import Architecture, construct_derived, derived_network, with_architecture


def shapes(net: torch.nn.Module, space: nasviz.graph.SearchSpace) -> list[int]:
    return [p.numel() for p in Architecture(net, space).parameters]


@pytest.mark.parametrize(
    ("none", "num_operations"), [(True, 5), pytest.param(False, 4, marks=pytest.mark.slow)]
)
def test_all_cells_of_nas_bench_201_share_six_softmaxes(none: bool, num_operations: int) -> None:
    model = NasBench201(in_channels=1, channels=2, cells=1, none=none)
    net = nasviz.trace(model, torch.randn(2, 1, 8, 8))
    space = nasviz.search_space(net)
    assert shapes(*with_architecture(net, space)) == [num_operations] * 6
    tied = set(space.tied(["NasBench201Cell"]).values())
    # One group for each convolution of an edge; the branches of both reduction blocks stand for themselves.
    assert len(tied) == 6 * 2 + 4
    switched, everything = nasviz.add_switches(net, space, where="switchable", initial=0.8)
    assert len(set(everything.tied(["NasBench201Cell"]).values())) >= 6 * num_operations + 4
    assert len(switched.trace_graph) > len(net.trace_graph)


class OneCell(torch.nn.Module):
    """A stem, one cell of S4 with all its 14 edges, a classifier."""

    def __init__(self, *, is_reduction: bool) -> None:
        super().__init__()
        edges = cell_space("s4", none=True)
        self.stem = torch.nn.Conv2d(1, 2, 3, padding=1)
        self.cell = SearchCell(
            CellConfig(2, 2, 2, is_reduction), edges.edges(is_reduction), norms=Norms(pools="fixed")
        )
        self.head = torch.nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head(self.cell(x, x).mean((2, 3)))


@pytest.mark.parametrize("is_reduction", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_cell_has_fourteen_softmaxes_and_what_stays_of_noise_is_still_exact(is_reduction: bool) -> None:
    net = nasviz.trace(OneCell(is_reduction=is_reduction), torch.randn(2, 1, 8, 8))
    net, space = with_architecture(net, nasviz.search_space(net), cells=["SearchCell"])
    assert shapes(net, space) == [3] * 14
    with torch.no_grad():
        for number, alpha in enumerate(Architecture(net, space).parameters):
            alpha[1 + number % 2] = 2.0  # noise and convolutions by turns
    derived = derived_network(net, space)
    sub = construct_derived(derived)
    kept = [switch.name for switch in derived.derivation.kept]
    assert len(kept) == 8
    assert 0 < sum("noise" in name for name in kept) < 8
    assert not any("none" in name for name in kept)
    assert sub.report.max_relative_error < 1e-5
