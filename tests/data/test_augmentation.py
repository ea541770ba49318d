"""Augmented images are functions of seed, epoch and index, and what they are said to be."""

from pathlib import Path

import pytest
import torch

from nasviz.data import ImageSet, augmented, load
from nasviz.data.augmentation import crop_box, cut_out, flip, shift
from nasviz.settings import RunSettings
from tests.data.files import write_images

KINDS = RunSettings.fields()["augmentation"].choices


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return load("digits", image_shape=(3, 16, 16)).train


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_depends_on_seed_epoch_and_index_alone(kind: str, images: ImageSet) -> None:
    chosen = torch.arange(64)
    torch.manual_seed(1)
    batch, labels = augmented(images, kind, seed=3, epoch=2).batch(chosen)
    torch.manual_seed(2)
    alone, _ = augmented(images, kind, seed=3, epoch=2).batch(chosen[40:41])
    assert torch.equal(batch[40], alone[0])
    assert batch.shape == (64, 3, 16, 16)
    assert labels.tolist() == images.labels[:64].tolist()
    others = [augmented(images, kind, seed=s, epoch=e).batch(chosen)[0] for s, e in ((3, 1), (2, 2))]
    for other in others:
        assert torch.equal(batch, other) == (kind == "none")
    assert not torch.equal(*others) or kind == "none"


def test_no_global_generator_is_touched(images: ImageSet) -> None:
    before = torch.get_rng_state()
    augmented(images, "cutout", seed=0, epoch=0).batch(torch.arange(8))
    assert torch.equal(before, torch.get_rng_state())


def test_shifts_reach_up_to_an_eighth_both_ways_and_bring_in_black() -> None:
    image = torch.arange(256.0).reshape(1, 1, 16, 16) + 1
    low = shift(image, torch.tensor([[0.0, 0.0]]), -7.0)[0, 0]
    assert torch.equal(low[2:, 2:], image[0, 0, :-2, :-2])
    assert (low[:2] == -7).all()
    assert (low[:, :2] == -7).all()
    high = shift(image, torch.tensor([[0.999, 0.999]]), -7.0)[0, 0]
    assert torch.equal(high[:-2, :-2], image[0, 0, 2:, 2:])
    assert torch.equal(shift(image, torch.tensor([[0.5, 0.5]]), -7.0), image)


def test_half_of_the_images_are_mirrored() -> None:
    images = torch.arange(8.0).reshape(2, 1, 1, 4)
    mirrored = flip(images, torch.tensor([0.49, 0.5]))
    assert mirrored.flatten().tolist() == [3, 2, 1, 0, 4, 5, 6, 7]


def test_cutout_takes_a_square_of_half_the_width() -> None:
    middle, corner = cut_out(torch.ones(2, 3, 16, 16), torch.tensor([[0.5, 0.5], [0.0, 0.0]]))
    assert (middle == 0).sum() == 3 * 64
    assert (corner == 0).sum() == 3 * 16
    assert (corner[:, :4, :4] == 0).all()


def test_crops_lie_inside_and_cover_the_ranges() -> None:
    draws = torch.rand(2000, 4, generator=torch.Generator().manual_seed(0))
    boxes = [crop_box(row, 40, 60) for row in draws.tolist()]
    assert all(t >= 0 and x >= 0 and t + h <= 40 and x + w <= 60 for t, x, h, w in boxes)
    shares = [h * w / 2400 for _, _, h, w in boxes]
    assert 0.06 < min(shares) < 0.1
    assert max(shares) > 0.8
    assert any(t + h == 40 for t, _, h, _ in boxes)


def test_files_of_images_are_cropped_before_they_are_resized(tmp_path: Path) -> None:
    write_images(tmp_path)
    train = load("image_folder", image_shape=(3, 8, 8), folder=tmp_path).train
    varied = augmented(train, "resized_crop", seed=0, epoch=0)
    batch, _ = varied.batch(torch.arange(6))
    assert batch.shape == (6, 3, 8, 8)
    assert torch.equal(batch[3], varied.batch(torch.tensor([3]))[0][0])
    assert not torch.equal(batch[3], train.batch(torch.tensor([3]))[0][0])
