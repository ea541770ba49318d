"""Tiny data sets in the real formats of the published ones; their checksums are declared to be published."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TRAIN, TEST = 12, 6


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def pictures(num: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (num, *shape), dtype=np.uint8)


def labels(num: int, num_classes: int = 10) -> np.ndarray:
    return (np.arange(num) * 3) % num_classes


def write_mnist(root: Path, patch: pytest.MonkeyPatch) -> None:
    write_fashion_mnist(root, patch, "MNIST")


def write_fashion_mnist(root: Path, patch: pytest.MonkeyPatch, name: str = "FashionMNIST") -> None:
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    for stem, num in (("train", TRAIN), ("t10k", TEST)):
        head = b"".join(int(n).to_bytes(4, "big") for n in (0x0803, num, 28, 28))
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(head + pictures(num, (28, 28), num).tobytes())
        head = b"".join(int(n).to_bytes(4, "big") for n in (0x0801, num))
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(head + labels(num).astype(np.uint8).tobytes())


def write_svhn(root: Path, patch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    listed = dict(SVHN.split_list)
    for part, num in (("train", TRAIN), ("test", TEST)):
        path = root / f"{part}_32x32.mat"
        digits = np.where(labels(num) == 0, 10, labels(num)).astype(np.uint8)  # as published: 10 is a 0
        savemat(path, {"X": pictures(num, (32, 32, 3), num).transpose(1, 2, 3, 0), "y": digits[:, None]})
        listed[part] = [listed[part][0], path.name, md5(path)]
    patch.setattr(SVHN, "split_list", listed)


def write_cifar(root: Path, patch: pytest.MonkeyPatch, name: str = "cifar10") -> None:
    from torchvision import datasets

    kind: Any = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    folder = root / kind.base_folder
    folder.mkdir(parents=True)
    key = "labels" if name == "cifar10" else "fine_labels"
    sums = {}
    for file, num in [(row[0], TRAIN // len(kind.train_list)) for row in kind.train_list] + [
        (kind.test_list[0][0], TEST)
    ]:
        data = pictures(num, (3 * 32 * 32,), len(file) + num)
        content = {"data": data, key: labels(num, 10 if name == "cifar10" else 100).tolist()}
        (folder / file).write_bytes(pickle.dumps(content, protocol=2))
        sums[file] = md5(folder / file)
    meta = folder / kind.meta["filename"]
    meta.write_bytes(pickle.dumps({kind.meta["key"]: [f"class {i}" for i in range(10)]}, protocol=2))
    patch.setattr(kind, "train_list", [[row[0], sums[row[0]]] for row in kind.train_list])
    patch.setattr(kind, "test_list", [[row[0], sums[row[0]]] for row in kind.test_list])
    patch.setattr(kind, "meta", kind.meta | {"md5": md5(meta)})


def write_cifar100(root: Path, patch: pytest.MonkeyPatch) -> None:
    write_cifar(root, patch, "cifar100")


def write_stl10(root: Path, patch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import STL10

    folder = root / STL10.base_folder
    folder.mkdir(parents=True)
    for part, num in (("train", TRAIN), ("test", TEST)):
        (folder / f"{part}_X.bin").write_bytes(pictures(num, (3, 96, 96), num).tobytes())
        (folder / f"{part}_y.bin").write_bytes((labels(num) + 1).astype(np.uint8).tobytes())
    unlabelled = STL10.train_list[2]

    def listed(part: str) -> list[list[str]]:
        return [[f"{part}_{kind}.bin", md5(folder / f"{part}_{kind}.bin")] for kind in "Xy"]

    patch.setattr(STL10, "train_list", [*listed("train"), unlabelled])
    patch.setattr(STL10, "test_list", listed("test"))


def write_images(root: Path, parts: tuple[str, ...] = ("train", "val"), num: int = 3) -> None:
    """Two classes of coloured pictures of different sizes, one folder each."""
    from PIL import Image

    for part in parts:
        for number, kind in enumerate(("cat", "dog")):
            folder = root / part / kind
            folder.mkdir(parents=True)
            for index in range(num):
                height, width = 20 + index, 30 - index
                picture = pictures(1, (height, width, 3), 10 * number + index)[0]
                Image.fromarray(picture).save(folder / f"{index}.png")


WRITERS = {
    "fashion_mnist": write_fashion_mnist,
    "mnist": write_mnist,
    "svhn": write_svhn,
    "cifar10": write_cifar,
    "cifar100": write_cifar100,
    "stl10": write_stl10,
}
