"""Fashion-MNIST, SVHN, CIFAR-10, CIFAR-100 and STL-10 from a folder, as read by torchvision.

CIFAR's files are pickles, which run code when opened: a file is opened only after its published checksum is
verified. Nothing is downloaded here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasviz.catalog import FACTS, DataFacts
from nasviz.data.images import DataSplit, ImageSet, check_image_shape
from nasviz.errors import DataError

__all__ = ["check_files", "checksums", "load_published", "missing_layout"]

_WHITE = 255.0
Part = tuple[Tensor, Tensor]
"""Images `(N, C, H, W)`, uint8, and labels `(N,)`."""


def load_published(name: str, image_shape: tuple[int, ...], folder: Path | None) -> DataSplit:
    """Return training images, and test images for validation, in `image_shape`.

    Args:
        name: Name of the data set.
        image_shape: Shape (C, H, W) that the network reads.
        folder: Folder of the data.

    Raises:
        DataError: Files are missing or not the published ones, or the shape does not fit.
    """
    facts = FACTS[name]
    shape = check_image_shape(image_shape, facts.channels)
    root = check_files(name, folder)
    try:
        train, test = _READERS[name](root)
    except (RuntimeError, ValueError, AssertionError, KeyError, IndexError, TypeError, EOFError) as error:
        words = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"{name} in {root} cannot be read: {words[0][:200]}") from error
    mean, std = _moments(train[0])
    sets = []
    for images, labels in (train, test):
        _check_part(name, facts, images, labels)
        sets.append(ImageSet(images, labels, mean, std, _WHITE, shape))
    return DataSplit(facts, *sets)


def check_files(name: str, folder: Path | None) -> Path:
    """Return the folder after a check that every file exists, with its published checksum if there is one.

    Raises:
        DataError: No folder is given, a file is missing, or differs from the published one.
    """
    if folder is None:
        raise missing_layout(name, "no folder is given", None)
    root = folder.expanduser()
    if lost := [file for file in FACTS[name].files if not (root / file).is_file()]:
        raise missing_layout(name, f"{len(lost)} of its files are missing, the first is {lost[0]}", root)
    from torchvision.datasets.utils import check_integrity

    for file, checksum in checksums(name).items():
        if not check_integrity(root / file, checksum):
            raise DataError(
                f"{root / file} is not the published file of {name}: its checksum differs. It was not opened;"
                " remove it, and download the data again"
            )
    return root


def missing_layout(name: str, found: str, root: Path | None) -> DataError:
    """Return an error that describes the expected layout of a data folder."""
    facts = FACTS[name]
    place = "the folder named by --data-folder (on the page: Folder of the data)"
    where = f"{root}: " if root is not None else ""
    way = f"; or download {facts.download_mb:,} MB into it with --download" if facts.download_mb else ""
    return DataError(f"{where}{name} needs {place}, with {facts.layout}; {found}{way}")


def checksums(name: str) -> dict[str, str]:
    """Return the MD5 of every file with a published one, by path under the folder."""
    from torchvision import datasets

    if name == "svhn":
        return {file: md5 for _, file, md5 in (datasets.SVHN.split_list[part] for part in ("train", "test"))}
    if name == "fashion_mnist":
        return {}  # published for the archives only; the unpacked files hold plain numbers
    kind: Any = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "stl10": datasets.STL10}[name]
    listed = dict([*kind.train_list, *kind.test_list])
    if name == "stl10":
        listed.pop("unlabeled_X.bin", None)
    else:
        listed[kind.meta["filename"]] = kind.meta["md5"]
    return {f"{kind.base_folder}/{file}": md5 for file, md5 in listed.items()}


def _fashion_mnist(root: Path) -> tuple[Part, Part]:
    from torchvision.datasets import FashionMNIST
    from torchvision.datasets.mnist import read_image_file, read_label_file

    folder = root / FashionMNIST.__name__ / "raw"

    def part(stem: str) -> Part:
        images = read_image_file(str(folder / f"{stem}-images-idx3-ubyte"))
        return images.unsqueeze(1), read_label_file(str(folder / f"{stem}-labels-idx1-ubyte"))

    return part("train"), part("t10k")


def _svhn(root: Path) -> tuple[Part, Part]:
    from torchvision.datasets import SVHN

    def part(split: str) -> Part:
        found = SVHN(root, split=split)
        return torch.from_numpy(np.ascontiguousarray(found.data)), torch.from_numpy(found.labels)

    return part("train"), part("test")


def _cifar(root: Path, name: str) -> tuple[Part, Part]:
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]

    def part(*, is_train: bool) -> Part:
        found = kind(root, train=is_train)
        images = torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous()
        return images, torch.tensor(found.targets)

    return part(is_train=True), part(is_train=False)


def _stl10(root: Path) -> tuple[Part, Part]:
    from torchvision.datasets import STL10

    # Without the unlabelled images, which are most of the files.
    labelled = type("Labelled", (STL10,), {"train_list": STL10.train_list[:2]})

    def part(split: str) -> Part:
        found = labelled(root, split=split)
        assert found.labels is not None, "both parts have labels"
        images = torch.from_numpy(np.ascontiguousarray(found.data))
        return images, torch.from_numpy(found.labels).to(torch.int64)

    return part("train"), part("test")


_READERS: dict[str, Callable[[Path], tuple[Part, Part]]] = {
    "fashion_mnist": _fashion_mnist,
    "svhn": _svhn,
    "cifar10": lambda root: _cifar(root, "cifar10"),
    "cifar100": lambda root: _cifar(root, "cifar100"),
    "stl10": _stl10,
}


def _check_part(name: str, facts: DataFacts, images: Tensor, labels: Tensor) -> None:
    wanted = (facts.channels, facts.size, facts.size)
    if images.dtype != torch.uint8 or tuple(images.shape[1:]) != wanted or len(images) == 0:
        raise DataError(f"{name} must have uint8 images {wanted}, not {images.dtype} {tuple(images.shape)}")
    if (
        labels.shape != images.shape[:1]
        or not 0 <= int(labels.min()) <= int(labels.max()) < facts.num_classes
    ):
        raise DataError(
            f"{name} must have a label from 0 to {facts.num_classes - 1} for each of {len(images)} images;"
            f" found {len(labels)} labels from {int(labels.min())} to {int(labels.max())}"
        )


def _moments(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return exact mean and deviation of each channel in [0, 1], from the histogram of the 256 values."""
    values = torch.arange(256, dtype=torch.float64) / _WHITE
    means, deviations = [], []
    for channel in range(images.shape[1]):
        share = torch.bincount(images[:, channel].flatten(), minlength=256).to(torch.float64)
        share /= share.sum()
        mean = float((share * values).sum())
        means.append(mean)
        deviations.append(max(float((share * (values - mean).square()).sum().sqrt()), 1e-6))
    return tuple(means), tuple(deviations)
