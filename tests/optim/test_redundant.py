from __future__ import annotations

import pytest
import torch

from nasviz.optim import OPTIMIZERS, Rows, TensorGroup
from nasviz.optim.halfspace import RedundantGroups
from tests.optim.problems import build
from tests.optim.test_table import make


def rows(tensor, dim, *index):
    return Rows(tensor, dim, torch.tensor(index))


def crossing(redundant, *structures, step=0):
    """Let these structures leave their half-space."""
    before = [tensor.clone() for tensor in redundant.index.tensors]
    owned = zip(redundant.index.ids, redundant.index.tensors, strict=True)
    for structure, tensor in owned:
        tensor.mul_(-1.0 if structure in structures else 0.9)
    redundant.judge(before, epsilon=0.0, step=step)


def test_a_row_with_two_owners_is_zero_as_soon_as_one_of_them_is():
    scale, one, two = torch.ones(4), torch.ones(2), torch.ones(3)
    members = {
        1: TensorGroup((one,), (rows(scale, 0, 0, 1),)),
        2: TensorGroup((two,), (rows(scale, 0, 1, 2),)),
    }
    redundant = RedundantGroups(members)
    crossing(redundant, 2)
    redundant.zero_()
    assert scale.tolist() == [1, 0, 0, 1]
    assert one.tolist() == pytest.approx([0.9, 0.9])
    assert not two.any()
    assert redundant.read() == {2: 0}
    assert redundant.num_zero.item() == 1


def test_the_remainder_goes_with_the_last_structure():
    scale, one, two, rest = torch.ones(4), torch.ones(2), torch.ones(3), torch.ones(5)
    members = {1: TensorGroup((one,)), 2: TensorGroup((two,))}
    redundant = RedundantGroups(members, TensorGroup((rest,), (rows(scale, 0, 3),)))
    crossing(redundant, 1)
    redundant.zero_()
    assert rest.all()
    assert scale.all()
    crossing(redundant, 2)
    redundant.zero_()
    assert redundant.read() == {1: 0, 2: 0}
    assert not rest.any()
    assert scale.tolist() == [1, 1, 1, 0]


def test_rows_and_columns_of_one_tensor_are_zeroed_each_by_its_owner():
    weight, one, two = torch.ones(2, 3), torch.ones(1), torch.ones(1)
    members = {1: TensorGroup((one,), (rows(weight, 0, 1),)), 2: TensorGroup((two,), (rows(weight, 1, 0),))}
    redundant = RedundantGroups(members)
    crossing(redundant, 2)
    redundant.zero_()
    assert weight.tolist() == [[0, 1, 1], [0, 1, 1]]


def test_a_verdict_stands():
    x = torch.ones(2)
    redundant = RedundantGroups({1: TensorGroup((x,))})
    crossing(redundant, 1, step=4)
    crossing(redundant, step=5)
    assert redundant.read() == {1: 4}


def test_nothing_has_no_verdict():
    redundant = RedundantGroups({})
    redundant.judge(redundant.history.start(), 0.0)
    redundant.zero_()
    redundant.scale_(0.5)
    assert redundant.read() == {}
    assert not redundant


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_step_waits_for_a_value_from_the_device(name):
    # A tensor without data refuses to be read, as a GPU would make the host wait.
    net = build().to("meta")
    optimizer = make(name, net, "sgd momentum", warmup_steps=2)
    if name != "hspg":
        optimizer._scores.final = lambda: dict.fromkeys(optimizer.structure_ids, 0.0)
    for _ in range(5):
        for parameter in net.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    assert optimizer.phase == "projection"
    assert optimizer.num_zero.shape == ()
    with pytest.raises(RuntimeError, match="meta"):
        _ = optimizer.zeroed_by
