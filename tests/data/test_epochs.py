"""The order of samples is a permutation that seed and epoch alone decide."""

import torch
from hypothesis import given
from hypothesis import strategies as some

from nasviz.data import epoch_order


@given(some.integers(0, 300), some.integers(0, 2**32 - 1), some.integers(0, 10**6))
def test_it_is_a_permutation_and_repeats(num: int, seed: int, epoch: int) -> None:
    order = epoch_order(num, seed, epoch)
    assert order.dtype == torch.int64
    assert sorted(order.tolist()) == list(range(num))
    assert torch.equal(order, epoch_order(num, seed, epoch))


def test_seed_and_epoch_each_change_it() -> None:
    orders = {tuple(epoch_order(100, seed, epoch).tolist()) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


def test_it_neither_reads_nor_advances_torchs_generator() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = epoch_order(50, 0, 0)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert torch.equal(one, epoch_order(50, 0, 0))


def test_it_is_the_same_on_every_machine() -> None:
    assert epoch_order(8, seed=0, epoch=0).tolist() == [1, 4, 5, 2, 6, 7, 0, 3]
