"""Digits are real, split once and for all, and come out in the shape that a network reads."""

import pytest
import torch

from nasviz.data import DataSplit, facts, load
from nasviz.errors import DataError, UnknownNameError


@pytest.fixture(scope="module")
def split() -> DataSplit:
    return load("digits", image_shape=(1, 28, 28))


def test_facts_are_true_of_the_images(split: DataSplit) -> None:
    known = facts("digits")
    assert (len(split.train), len(split.validation)) == (known.num_train, known.num_validation)
    assert split.train.images.shape[1:] == (known.channels, known.size, known.size)
    assert split.train.images.dtype == torch.uint8
    assert sorted(set(split.train.labels.tolist())) == list(range(known.num_classes))


def test_the_split_is_stratified_and_shares_no_image(split: DataSplit) -> None:
    share = torch.bincount(split.validation.labels) / torch.bincount(split.train.labels)
    assert share.min() > 0.23
    assert share.max() < 0.27
    train = {tuple(image.flatten().tolist()) for image in split.train.images}
    validation = {tuple(image.flatten().tolist()) for image in split.validation.images}
    assert not train & validation


def test_the_split_does_not_depend_on_the_seed(split: DataSplit) -> None:
    other = load("digits", image_shape=(1, 28, 28), seed=7)
    assert torch.equal(split.train.images, other.train.images)
    assert torch.equal(split.validation.labels, other.validation.labels)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 24), (1, 4, 4)])
def test_batches_have_the_shape_asked_for_and_are_deterministic(shape: tuple[int, int, int]) -> None:
    train = load("digits", image_shape=shape).train
    indices = torch.tensor([5, 0, 5])
    images, labels = train.batch(indices)
    again, _ = train.batch(indices)
    assert images.shape == (3, *shape)
    assert images.dtype == torch.float32
    assert images.is_contiguous()
    assert labels.tolist() == train.labels[indices].tolist()
    assert torch.equal(images, again)
    assert torch.equal(images[0], images[2])
    assert not torch.equal(images[0], images[1])
    assert all(torch.equal(images[:, 0], images[:, channel]) for channel in range(shape[0]))


def test_training_images_have_mean_0_and_variance_1() -> None:
    train = load("digits", image_shape=(1, 8, 8)).train
    images, _ = train.batch(torch.arange(len(train)))
    assert abs(float(images.mean())) < 1e-4
    assert abs(float(images.std()) - 1) < 1e-3


def test_a_batch_does_not_depend_on_its_company(split: DataSplit) -> None:
    alone, _ = split.train.batch(torch.tensor([3]))
    together, _ = split.train.batch(torch.arange(64))
    assert torch.equal(alone[0], together[3])


def test_a_set_moves_to_another_device_as_a_whole(split: DataSplit) -> None:
    moved = split.to("meta")
    images, labels = moved.validation.batch(torch.arange(2))
    assert {images.device.type, labels.device.type, moved.train.device.type} == {"meta"}
    assert split.train.device.type == "cpu"


def test_what_cannot_be_loaded_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="nearest: digits"):
        load("digit", image_shape=(1, 8, 8))
    with pytest.raises(UnknownNameError, match="nearest: mnist"):
        facts("mnits")
    with pytest.raises(DataError, match="channels, height, width"):
        load("digits", image_shape=(64,))


def test_images_labels_and_split_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    original = load_digits()
    rows = train_test_split(range(1797), test_size=360, stratify=original.target, random_state=0)
    split = load("digits", image_shape=(1, 8, 8))
    for part, indices in zip((split.train, split.validation), rows, strict=True):
        assert part.images[:, 0].tolist() == original.images[indices].tolist()
        assert part.labels.tolist() == original.target[indices].tolist()
