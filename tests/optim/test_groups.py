from __future__ import annotations

import torch

from nasviz.optim.groups import GroupScaler, Rows, TensorGroup, merge, zero_


def rows(tensor, dim, *index):
    return Rows(tensor, dim, torch.tensor(index))


def test_a_row_that_two_structures_entail_is_scaled_once():
    scale = torch.ones(4)
    group = merge([TensorGroup((), (rows(scale, 0, 0, 1),)), TensorGroup((), (rows(scale, 0, 1, 2),))])
    GroupScaler(group).scale_(0.5)
    assert scale.tolist() == [0.5, 0.5, 0.5, 1.0]


def test_a_row_of_a_whole_tensor_is_scaled_once():
    scale = torch.ones(4)
    GroupScaler(merge([TensorGroup((scale,)), TensorGroup((), (rows(scale, 0, 1),))])).scale_(0.5)
    assert scale.tolist() == [0.5] * 4


def test_rows_and_columns_of_one_tensor_are_scaled_once_where_they_cross():
    weight = torch.ones(3, 3)
    GroupScaler(TensorGroup((), (rows(weight, 0, 0), rows(weight, 1, 2)))).scale_(0.25)
    assert weight.tolist() == [[0.25, 0.25, 0.25], [1.0, 1.0, 0.25], [1.0, 1.0, 0.25]]


def test_scaling_leaves_other_variables_bitwise_alone():
    weight = torch.randn(6, 5, 3, generator=torch.Generator().manual_seed(0))
    before = weight.clone()
    GroupScaler(TensorGroup((), (rows(weight, 1, 0, 3),))).scale_(1 / 3)
    kept = [1, 2, 4]
    assert torch.equal(weight[:, kept], before[:, kept])
    torch.testing.assert_close(weight[:, [0, 3]], before[:, [0, 3]] / 3)


def test_zeroing_and_masking_reach_exactly_the_group():
    whole, part = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    whole.grad, part.grad = torch.ones(2), torch.ones(3)
    scaler = GroupScaler(TensorGroup((whole,), (rows(part, 0, 2),)))
    scaler.zero_()
    scaler.drop_gradients_()
    assert whole.tolist() == [0, 0]
    assert whole.grad is None
    assert part.tolist() == part.grad.tolist() == [1, 1, 0]


def test_tensors_without_gradient_are_passed_over():
    GroupScaler(TensorGroup((torch.ones(2),), (rows(torch.ones(2), 0, 1),))).drop_gradients_()


def test_buffers_of_the_group_are_zeroed_and_the_step_count_kept():
    whole, part = torch.ones(()), torch.ones(3)
    state = {
        whole: {"step": torch.tensor(7.0), "exp_avg": torch.tensor(2.0)},
        part: {"step": torch.tensor(7.0), "exp_avg": torch.ones(3), "momentum_buffer": None},
    }
    zero_(TensorGroup((whole,), (rows(part, 0, 0),)), state)
    assert state[whole] == {"step": torch.tensor(7.0), "exp_avg": torch.tensor(0.0)}
    assert part.tolist() == state[part]["exp_avg"].tolist() == [0, 1, 1]
