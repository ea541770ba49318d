"""Cells and their operations: shapes at every stride and side, sums, derived cells, refusals."""

import pytest
import torch
from torch import nn

from nasviz.catalog.genotype import read_genotype
from nasviz.errors import InvalidSettingError, UnknownNameError
from nasviz.models.cells import CellConfig, DerivedCell, MixedOperation, SearchCell, edges_of
from nasviz.models.darts import SPACES, cell_space
from nasviz.models.operations import OPERATIONS, FactorizedReduce, Noise, Norms


@pytest.mark.parametrize("side", [1, 2, 7, 8])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_keeps_its_channels_and_halves_any_side_upwards(
    name: str, stride: int, side: int
) -> None:
    x = torch.randn(2, 4, side, side + 1)
    expected = (2, 4, -(-side // stride), -(-(side + 1) // stride))
    assert OPERATIONS[name](4, stride, Norms())(x).shape == expected


def test_a_factorized_reduce_sees_every_pixel() -> None:
    reduce = FactorizedReduce(1, 2).eval()
    x = torch.ones(1, 1, 4, 4, requires_grad=True)
    reduce(x).sum().backward()
    assert (x.grad != 0).sum() == 8  # each half reads every other pixel of every other row


def test_pools_own_variables_only_where_their_norms_are_affine() -> None:
    def variables(pools: str) -> int:
        pool = OPERATIONS["max_pool_3x3"](4, 1, Norms(pools=pools))
        return sum(p.numel() for p in pool.parameters())

    assert [variables(pools) for pools in ("none", "fixed", "affine")] == [0, 0, 8]


def test_an_edge_is_the_plain_sum_of_its_operations_and_weights_weigh_it() -> None:
    torch.manual_seed(0)
    edge = MixedOperation(("skip_connect", "nor_conv_3x3", "none"), 4, 1, Norms())
    x = torch.randn(2, 4, 5, 5)
    skip, conv, none = (operation(x) for operation in edge.operations.values())
    torch.testing.assert_close(edge(x), x + conv)
    torch.testing.assert_close(edge(x, torch.tensor([2.0, 0.5, 7.0])), 2 * skip + 0.5 * conv)
    assert not none.any()


def test_a_cell_concatenates_its_nodes_and_can_differ_from_edge_to_edge() -> None:
    torch.manual_seed(0)
    ops = [["skip_connect"]] * 4 + [["none"]]
    cell = SearchCell(CellConfig(3, 5, 4), ops, num_nodes=2)
    before, last = torch.randn(2, 3, 6, 6), torch.randn(2, 5, 6, 6)
    first, second = cell.entry(before, last)
    torch.testing.assert_close(cell(before, last), torch.cat([first + second] * 2, dim=1))
    weights = [torch.tensor([w]) for w in (1.0, 0.0, 0.0, 1.0, 1.0)]
    torch.testing.assert_close(cell(before, last, weights), torch.cat([first, second], dim=1))
    assert cell.out_channels == 8


def test_a_reduction_behind_a_reduction_brings_all_to_one_size() -> None:
    cell = SearchCell(
        CellConfig(3, 6, 4, is_reduction=True, follows_reduction=True), ["max_pool_3x3", "skip_connect"]
    )
    assert cell(torch.randn(2, 3, 14, 14), torch.randn(2, 6, 7, 7)).shape == (2, 16, 4, 4)
    assert len(cell.edges) == len(edges_of(4)) == 14


def test_a_derived_cell_leaves_out_nodes_that_read_nothing() -> None:
    genotype = read_genotype(
        "Genotype(normal=[[('skip_connect', 0)], [], [('sep_conv_3x3', 1), ('skip_connect', 2)]])"
    )
    cell = DerivedCell(CellConfig(3, 5, 4), genotype)
    assert cell.out_channels == 8
    assert cell(torch.randn(2, 3, 6, 6), torch.randn(2, 5, 6, 6)).shape == (2, 8, 6, 6)
    assert sum(isinstance(m, nn.Identity) for m in cell.operations) == 2


@pytest.mark.parametrize(
    ("operations", "word"),
    [(["conv"], "unknown operation 'conv'"), ([["none"]] * 3, "3 edges"), ([[]] * 14, "0 of them")],
)
def test_operations_that_do_not_fit_a_cell_are_refused(operations: list, word: str) -> None:
    with pytest.raises(InvalidSettingError, match=word):
        SearchCell(CellConfig(4, 4, 4), operations)


def test_the_spaces_of_the_documents_have_fourteen_edges_for_each_type_of_cell() -> None:
    num_operations = {name: sum(map(len, (*s.normal, *s.reduce))) for name, s in SPACES.items()}
    assert num_operations == {"full": 196, "s1": 56, "s2": 56, "s4": 56}
    assert {len(edges) for space in SPACES.values() for edges in (space.normal, space.reduce)} == {14}
    assert all(edge[0] == "none" for edge in cell_space("full", none=True).normal)
    with pytest.raises(UnknownNameError, match="s1, s2, s4"):
        cell_space("s3")


def test_noise_has_mean_zero_and_variance_one_and_is_silent_in_evaluation() -> None:
    torch.manual_seed(0)
    noise = Noise(stride=2)
    x = torch.randn(64, 4, 9, 8)
    signs = noise(x)
    assert signs.shape == (64, 4, 5, 4)
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert abs(signs.mean()) < 0.05
    assert not noise.eval()(x).any()
