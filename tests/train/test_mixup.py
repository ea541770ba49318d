"""MixUp mixes each image with one other, the same way for the same seed, epoch and batch."""

import numpy as np
import pytest
import torch

from nasviz.train.mixup import Mixture, mix

IMAGES = torch.arange(6.0).reshape(6, 1, 1, 1).expand(6, 2, 3, 3)
LABELS = torch.arange(6)


def mixed(alpha: float = 1.0, seed: int = 0, epoch: int = 0, index: int = 0) -> Mixture:
    return mix(IMAGES, LABELS, alpha=alpha, seed=seed, epoch=epoch, index=index)


def test_every_pixel_is_mixed_at_the_share_of_the_batch_and_labels_go_with_their_images() -> None:
    found = mixed()
    assert 0 < found.share < 1
    assert sorted(found.partners.tolist()) == list(range(6))
    expected = found.share * LABELS + (1 - found.share) * found.partners
    torch.testing.assert_close(found.images, expected.float().reshape(6, 1, 1, 1).expand(6, 2, 3, 3))
    assert torch.equal(found.labels, LABELS)


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}, {"index": 1}])
def test_seed_epoch_and_batch_decide_and_nothing_else_does(change: dict[str, int]) -> None:
    first, other = mixed(), mixed(**change)
    torch.rand(3)
    np.random.random(3)  # noqa: NPY002 (the generator that must not matter)
    again = mixed()
    assert torch.equal(first.images, again.images)
    assert first.share == again.share != other.share


def test_no_generator_of_others_is_advanced() -> None:
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    mixed()
    assert torch.equal(before, torch.get_rng_state())
    assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002


def test_shares_follow_the_beta_distribution() -> None:
    shares = np.array([mixed(alpha=0.2, index=i).share for i in range(2000)])
    # Beta(a, a) has mean 1/2 and variance 1 / (8 a + 4).
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / (8 * 0.2 + 4), rel=0.05)
