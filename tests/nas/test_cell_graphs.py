"""Cells read off traced networks: the operations that the network was built with, at their places."""

from functools import cache

import pytest
import torch

import nasviz
from nasviz.graph import SearchSpace
from nasviz.graph.cells.genotypes import CellGraph, cell_graphs, cells_by_type
from nasviz.models.cells import CellConfig, SearchCell, edges_of
from nasviz.models.darts import cell_space
from nasviz.models.nas_bench_201 import NasBench201
from nasviz.models.operations import NAS_BENCH_201_OPERATIONS, Norms
from nasviz.trace import TracedNetwork


class Cells(torch.nn.Module):
    """A stem, a normal and a reduction cell of a space, a classifier."""

    def __init__(self, space: str) -> None:
        super().__init__()
        edges = cell_space(space)
        places = [CellConfig(2, 2, 2), CellConfig(2, 8, 2, is_reduction=True)]
        self.stem = torch.nn.Conv2d(1, 2, 3, padding=1)
        self.cells = torch.nn.ModuleList(
            SearchCell(place, edges.edges(place.is_reduction), norms=Norms(pools="fixed")) for place in places
        )
        self.head = torch.nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head(self.cells[1](x, self.cells[0](x, x)).mean((2, 3)))


@cache
def traced() -> tuple[TracedNetwork, SearchSpace]:
    net = nasviz.trace(Cells("s1"), torch.randn(2, 1, 8, 8))
    return net, nasviz.search_space(net)


def operations(cell: CellGraph) -> list[tuple[int, int, str]]:
    return [(edge.source, edge.node, edge.operation) for edge in cell.edges]


def expected(
    names: tuple[tuple[str, ...], ...], num_nodes: int, num_inputs: int
) -> list[tuple[int, int, str]]:
    pairs = edges_of(num_nodes, num_inputs)
    return [(s, n, name) for (s, n), edge in zip(pairs, names, strict=True) for name in edge]


@pytest.mark.parametrize("is_switched", [False, True])
def test_the_cells_of_s1_are_read_as_they_were_built(is_switched: bool) -> None:
    net, space = traced()
    if is_switched:
        space = nasviz.nas.with_architecture(net, space, cells=["SearchCell"])[1]
    found = cells_by_type(cell_graphs(space))
    built = cell_space("s1")
    assert list(found) == ["normal", "reduce"]
    assert operations(found["normal"][0]) == expected(built.normal, 4, 2)
    assert operations(found["reduce"][0]) == expected(built.reduce, 4, 2)
    assert all(cell.outputs == (0, 1, 2, 3) for (cell,) in found.values())


def test_a_cell_of_nas_bench_201_hands_on_its_last_node_and_all_are_alike() -> None:
    net = nasviz.trace(NasBench201(in_channels=1, channels=2, cells=1), torch.randn(2, 1, 8, 8))
    found = cells_by_type(cell_graphs(nasviz.search_space(net)))
    assert list(found) == ["cell"]
    assert len(found["cell"]) == 3
    assert operations(found["cell"][0]) == expected((NAS_BENCH_201_OPERATIONS,) * 6, 3, 1)
    assert found["cell"][0].outputs == (2,)


def test_networks_without_cells_have_none() -> None:
    model, images = nasviz.zoo.create("demonet", width=0.1)
    assert cell_graphs(nasviz.search_space(nasviz.trace(model, images))) == ()
