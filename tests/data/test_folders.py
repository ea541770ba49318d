"""Folders of images: one folder a class, decoded on demand, the parts named or split for good."""

import os
from pathlib import Path

import pytest
import torch

from nasviz.data import load, open_data
from nasviz.errors import DataError
from tests.data.files import write_images


def test_named_parts_are_read_and_brought_to_the_networks_shape(tmp_path: Path) -> None:
    write_images(tmp_path)
    facts = open_data("image_folder", folder=tmp_path).facts
    assert (facts.num_classes, facts.num_train, facts.num_validation) == (2, 6, 6)
    split = load("image_folder", image_shape=(3, 16, 24), folder=tmp_path)
    images, labels = split.train.batch(torch.tensor([0, 5, 0]))
    assert images.shape == (3, 3, 16, 24)
    assert labels.tolist() == [0, 1, 0]
    assert torch.equal(images[0], images[2])


def test_a_uniform_image_stays_uniform_and_is_normalised(tmp_path: Path) -> None:
    from PIL import Image

    write_images(tmp_path)
    Image.new("RGB", (50, 40), (255, 0, 0)).save(tmp_path / "train" / "cat" / "0.png")
    train = load("image_folder", image_shape=(3, 8, 8), folder=tmp_path).train
    image = train.batch(torch.tensor([0]))[0][0]
    torch.testing.assert_close(image[0], torch.full((8, 8), (1 - 0.485) / 0.229))
    torch.testing.assert_close(image[1:], train.black()[1:].expand(2, 8, 8))


def test_one_folder_is_split_for_good_class_by_class(tmp_path: Path) -> None:
    write_images(tmp_path, parts=("all",), num=10)
    split = load("image_folder", image_shape=(3, 8, 8), folder=tmp_path / "all", seed=3)
    again = load("image_folder", image_shape=(3, 8, 8), folder=tmp_path / "all", seed=4)
    assert (len(split.train), len(split.validation)) == (16, 4)
    assert split.validation.batch(torch.arange(4))[1].tolist() == [0, 0, 1, 1]
    assert split.validation.samples == again.validation.samples
    assert not set(split.train.samples) & set(split.validation.samples)


def test_other_layouts_are_told_what_is_expected(tmp_path: Path) -> None:
    def refused(folder: Path | None, words: str) -> None:
        with pytest.raises(DataError, match=f"folders train and val.*{words}"):
            load("image_folder", image_shape=(3, 8, 8), folder=folder)

    refused(None, "no folder is given")
    refused(tmp_path / "nowhere", "no such folder")
    refused(tmp_path, "find any class folder")
    write_images(tmp_path, parts=("train",))
    refused(tmp_path, "no validation folder")
    write_images(tmp_path, parts=("val",))
    (tmp_path / "val" / "dog").rename(tmp_path / "val" / "fox")
    refused(tmp_path, "differ in the class 'dog'")
    write_images(tmp_path / "few", parts=("",), num=1)
    refused(tmp_path / "few", "no class has two images")


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    write_images(tmp_path)
    (tmp_path / "train" / "cat" / "0.png").write_bytes(b"GIF89a?")
    train = load("image_folder", image_shape=(3, 8, 8), folder=tmp_path).train
    with pytest.raises(DataError, match=r"0\.png cannot be read as an image"):
        train.batch(torch.tensor([0]))


def test_postscript_under_the_name_of_an_image_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path)
    program, canary = tmp_path / "gs", tmp_path / "canary"
    program.write_text(f"#!/bin/sh\ntouch {canary}\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "train" / "cat" / "0.png").write_bytes(page)
    train = load("image_folder", image_shape=(3, 8, 8), folder=tmp_path).train
    with pytest.raises(DataError, match="its format is unknown"):
        train.batch(torch.tensor([0]))
    assert not canary.exists()
