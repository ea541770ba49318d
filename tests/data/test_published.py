"""Published data sets are read from a folder, checksums first; what is missing or strange is told."""

import gzip
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from nasviz.catalog import FACTS
from nasviz.data import ImageSet, load
from nasviz.data.published import checksums
from nasviz.errors import DataError
from tests.data.files import (
    TEST,
    TRAIN,
    WRITERS,
    labels,
    pictures,
    write_cifar,
    write_fashion_mnist,
    write_svhn,
)

NAMES = tuple(WRITERS)


@pytest.fixture
def patch() -> pytest.MonkeyPatch:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.mark.parametrize("name", NAMES)
def test_a_published_set_is_read_and_normalised(name: str, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    WRITERS[name](tmp_path, patch)
    facts = FACTS[name]
    split = load(name, image_shape=(3, 32, 32), folder=tmp_path)
    num_train = TRAIN // 5 * 5 if name == "cifar10" else TRAIN
    assert (len(split.train), len(split.validation)) == (num_train, TEST)
    assert isinstance(split.train, ImageSet)
    assert split.train.images.shape[1:] == (facts.channels, facts.size, facts.size)
    as_stored = load(name, image_shape=(facts.channels, facts.size, facts.size), folder=tmp_path).train
    images, _ = as_stored.batch(torch.arange(num_train))
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(facts.channels), atol=1e-4, rtol=0)
    torch.testing.assert_close(images.std((0, 2, 3)), torch.ones(facts.channels), atol=1e-2, rtol=0)
    assert split.validation.batch(torch.tensor([2]))[1].item() == labels(TEST, facts.num_classes)[2]


def test_pixels_are_where_they_were(tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    write_svhn(tmp_path, patch)
    train = load("svhn", image_shape=(3, 32, 32), folder=tmp_path).train
    assert isinstance(train, ImageSet)
    stored = pictures(TRAIN, (32, 32, 3), TRAIN)
    assert np.array_equal(train.images[4].permute(1, 2, 0).numpy(), stored[4])
    assert train.labels[0].item() == 0  # written as 10


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_folder_is_told_with_the_layout_and_the_way_out(name: str, tmp_path: Path) -> None:
    for folder in (None, tmp_path / "nowhere"):
        with pytest.raises(DataError, match=r"data-folder.*with.*--download") as caught:
            load(name, image_shape=(3, 32, 32), folder=folder)
        assert FACTS[name].files[0].rpartition("/")[2] in str(caught.value)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("mnist")])
def test_a_file_with_another_checksum_is_refused(
    name: str, tmp_path: Path, patch: pytest.MonkeyPatch
) -> None:
    WRITERS[name](tmp_path, patch)
    for file in FACTS[name].files:
        assert file in checksums(name)
        content = (tmp_path / file).read_bytes()
        (tmp_path / file).write_bytes(content + b"\0")
        with pytest.raises(DataError, match=f"{Path(file).name} is not the published file"):
            load(name, image_shape=(3, 32, 32), folder=tmp_path)
        (tmp_path / file).write_bytes(content)


class Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("import pathlib, os; pathlib.Path(os.environ['CANARY']).touch()",)


@pytest.mark.parametrize("file", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_hostile_pickle_is_never_opened(file: str, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path, patch)
    canary = tmp_path / "canary"
    patch.setenv("CANARY", str(canary))
    content = pickle.dumps(Hostile())
    (tmp_path / "cifar-10-batches-py" / file).write_bytes(content)
    with pytest.raises(DataError, match="It was not opened"):
        load("cifar10", image_shape=(3, 32, 32), folder=tmp_path)
    assert not canary.exists()
    pickle.loads(content)  # the trap is a real one
    assert canary.exists()


def test_lying_headers_are_refused(tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    write_fashion_mnist(tmp_path, patch)
    images = tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    honest = images.read_bytes()
    for content in (
        b"",
        b"\0\0\x08",
        honest[:4] + (10**9).to_bytes(4, "big") + honest[8:],
        honest[:12] + (14).to_bytes(4, "big") + honest[16:],
        honest[: len(honest) // 2],
        honest + b"\0",
    ):
        images.write_bytes(content)
        with pytest.raises(DataError, match="fashion_mnist"):
            load("fashion_mnist", image_shape=(1, 28, 28), folder=tmp_path)
    images.write_bytes(honest)
    targets = images.with_name("train-labels-idx1-ubyte")
    targets.write_bytes(targets.read_bytes()[:8] + bytes([200] * TRAIN))
    with pytest.raises(DataError, match="from 200 to 200"):
        load("fashion_mnist", image_shape=(1, 28, 28), folder=tmp_path)


@pytest.mark.parametrize("form", ["{}", "{}.gz", "dotted", "dotted.gz"])
@pytest.mark.parametrize("place", [".", "raw", "FashionMNIST/raw"])
def test_idx_files_are_read_as_people_keep_them(
    place: str, form: str, tmp_path: Path, patch: pytest.MonkeyPatch
) -> None:
    write_fashion_mnist(tmp_path / "usual", patch)
    usual = load("fashion_mnist", image_shape=(1, 28, 28), folder=tmp_path / "usual").train
    folder = tmp_path / "kept" / place
    folder.mkdir(parents=True)
    for path in (tmp_path / "usual" / "FashionMNIST" / "raw").iterdir():
        stem = path.name.replace("-idx", ".idx") if form.startswith("dotted") else path.name
        content = path.read_bytes()
        packed = form.endswith(".gz")
        (folder / f"{stem}{'.gz' if packed else ''}").write_bytes(
            gzip.compress(content) if packed else content
        )
    kept = load("fashion_mnist", image_shape=(1, 28, 28), folder=tmp_path / "kept").train
    assert isinstance(usual, ImageSet)
    assert isinstance(kept, ImageSet)
    assert torch.equal(kept.images, usual.images)
    assert torch.equal(kept.labels, usual.labels)


def test_an_archive_that_unpacks_to_more_than_it_announces_is_refused(
    tmp_path: Path, patch: pytest.MonkeyPatch
) -> None:
    write_fashion_mnist(tmp_path, patch)
    images = tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    content = images.read_bytes()
    images.unlink()
    packed = images.with_name(f"{images.name}.gz")
    for bad in (gzip.compress(content + bytes(10**6)), gzip.compress(content)[:-20], b"no archive"):
        packed.write_bytes(bad)
        with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz"):
            load("fashion_mnist", image_shape=(1, 28, 28), folder=tmp_path)
    packed.write_bytes(gzip.compress(content))
    assert len(load("fashion_mnist", image_shape=(1, 28, 28), folder=tmp_path).train) == TRAIN


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "stl10"])
def test_the_folder_of_the_files_itself_may_be_given(
    name: str, tmp_path: Path, patch: pytest.MonkeyPatch
) -> None:
    WRITERS[name](tmp_path, patch)
    folder = (tmp_path / FACTS[name].files[0]).parent
    shutil.move(folder, tmp_path / "here")
    shape = (3, FACTS[name].size, FACTS[name].size)
    assert len(load(name, image_shape=shape, folder=tmp_path / "here").validation) == TEST


def test_old_copies_of_torchvision_are_not_read_instead(tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    write_fashion_mnist(tmp_path, patch)
    old = tmp_path / "FashionMNIST" / "processed"
    old.mkdir()
    for name in ("training.pt", "test.pt"):
        (old / name).write_bytes(pickle.dumps(Hostile()))
    assert len(load("fashion_mnist", image_shape=(1, 28, 28), folder=tmp_path).train) == TRAIN


def test_colours_are_not_merged(tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="input of 3 channels"):
        load("cifar10", image_shape=(1, 32, 32), folder=tmp_path)
