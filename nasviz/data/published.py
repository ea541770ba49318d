"""MNIST and its relatives, SVHN, CIFAR-10, CIFAR-100 and STL-10 from a folder.

CIFAR's files are pickles, which run code when opened: a file is opened only after its published checksum is
verified. IDX files hold plain numbers: their header is checked instead, since gzip archives of the same
numbers differ. Nothing is downloaded here.
"""

from __future__ import annotations

import gzip
import math
import zlib
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
_MAX_IDX_BYTES = 2**28
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
    files = check_files(name, folder)
    try:
        train, test = _READERS[name](files)
    except (RuntimeError, ValueError, AssertionError, KeyError, IndexError, TypeError, EOFError) as error:
        words = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"{name} in {folder} cannot be read: {words[0][:200]}") from error
    mean, std = _moments(train[0])
    sets = []
    for images, labels in (train, test):
        _check_part(name, facts, images, labels)
        sets.append(ImageSet(images, labels, mean, std, _WHITE, shape))
    return DataSplit(facts, *sets)


def check_files(name: str, folder: Path | None) -> dict[str, Path]:
    """Return the path of every file, after a check of its published checksum if there is one.

    Raises:
        DataError: No folder is given, a file is missing, or differs from the published one.
    """
    if folder is None:
        raise missing_layout(name, "no folder is given", None)
    root, wanted = folder.expanduser(), FACTS[name].files
    try:
        files = FACTS[name].find_files(root)
    except OSError as error:
        raise DataError(f"{root} cannot be read: {error.strerror}") from error
    if lost := [file for file in wanted if file not in files]:
        raise missing_layout(name, f"{len(lost)} of its files are missing, the first is {lost[0]}", root)
    from torchvision.datasets.utils import check_integrity

    for file, checksum in checksums(name).items():
        if not check_integrity(files[file], checksum):
            raise DataError(
                f"{files[file]} is not the published file of {name}: its checksum differs. It was not opened;"
                " remove it, and download the data again"
            )
    return files


def missing_layout(name: str, found: str, root: Path | None) -> DataError:
    """Return an error that describes the expected layout of a data folder."""
    facts = FACTS[name]
    place = "the folder named by --data-folder (on the page: Folder of the data)"
    where = f"{root}: " if root is not None else ""
    way = f"; or download {facts.download_mb:,} MB into it with --download" if facts.download_mb else ""
    return DataError(f"{where}{name} needs {place}: {facts.layout}; {found}{way}")


def checksums(name: str) -> dict[str, str]:
    """Return the MD5 of every file with a published one, by path under the folder."""
    from torchvision import datasets

    if name == "svhn":
        return {file: md5 for _, file, md5 in (datasets.SVHN.split_list[part] for part in ("train", "test"))}
    if FACTS[name].files[0].endswith("-ubyte"):
        return {}
    kind: Any = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "stl10": datasets.STL10}[name]
    listed = dict([*kind.train_list, *kind.test_list])
    if name == "stl10":
        listed.pop("unlabeled_X.bin", None)
    else:
        listed[kind.meta["filename"]] = kind.meta["md5"]
    return {f"{kind.base_folder}/{file}": md5 for file, md5 in listed.items()}


def _idx_parts(files: dict[str, Path]) -> tuple[Part, Part]:
    train_images, train_labels, test_images, test_labels = map(_read_idx, files.values())
    return (
        (train_images.unsqueeze(1), train_labels.to(torch.int64)),
        (test_images.unsqueeze(1), test_labels.to(torch.int64)),
    )


def _read_idx(path: Path) -> Tensor:
    """Return the bytes of an IDX file, compressed or not, in the shape that its header says.

    Reads no more than the header announces, so that a small archive cannot fill the memory.

    Raises:
        DataError: The header is not one of an IDX file of bytes, or announces another length.
    """
    opened: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            magic = file.read(4)
            num_axes = magic[3] if len(magic) == 4 else 0
            if magic[:3] != b"\0\0\x08" or num_axes not in (1, 3):
                raise DataError(
                    f"{path} is not an IDX file of bytes: it begins with {magic.hex() or 'nothing'}"
                )
            shape = [int.from_bytes(file.read(4), "big") for _ in range(num_axes)]
            length = math.prod(shape)
            if length > _MAX_IDX_BYTES:
                raise DataError(f"the header of {path} announces {length:,} bytes: too many")
            content = file.read(length + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if len(content) != length:
        found = f"{len(content):,}" if len(content) < length else "more"
        raise DataError(f"the header of {path} announces {length:,} bytes, and it holds {found}")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(shape)


def _svhn(files: dict[str, Path]) -> tuple[Part, Part]:
    from torchvision.datasets import SVHN

    def part(split: str) -> Part:
        found = SVHN(_only_folder(files), split=split)
        return torch.from_numpy(np.ascontiguousarray(found.data)), torch.from_numpy(found.labels)

    return part("train"), part("test")


def _cifar(files: dict[str, Path], name: str) -> tuple[Part, Part]:
    from torchvision import datasets

    kind = _here({"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name])

    def part(*, is_train: bool) -> Part:
        found = kind(_only_folder(files), train=is_train)
        images = torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous()
        return images, torch.tensor(found.targets)

    return part(is_train=True), part(is_train=False)


def _stl10(files: dict[str, Path]) -> tuple[Part, Part]:
    from torchvision.datasets import STL10

    # Without the unlabelled images, which are most of the files.
    labelled = _here(STL10, train_list=STL10.train_list[:2])

    def part(split: str) -> Part:
        found = labelled(_only_folder(files), split=split)
        images = torch.from_numpy(np.ascontiguousarray(found.data))
        return images, torch.from_numpy(found.labels).to(torch.int64)

    return part("train"), part("test")


def _only_folder(files: dict[str, Path]) -> Path:
    return next(iter(files.values())).parent


def _here(kind: Any, **names: Any) -> Any:
    """Return a data set of torchvision that reads its files from the folder itself."""
    return type(kind.__name__, (kind,), {"base_folder": "", **names})


_READERS: dict[str, Callable[[dict[str, Path]], tuple[Part, Part]]] = {
    "fashion_mnist": _idx_parts,
    "mnist": _idx_parts,
    "kmnist": _idx_parts,
    "svhn": _svhn,
    "cifar10": lambda files: _cifar(files, "cifar10"),
    "cifar100": lambda files: _cifar(files, "cifar100"),
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
