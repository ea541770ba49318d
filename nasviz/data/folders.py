"""Folders of images, one folder a class, decoded when a batch asks for them (ImageNet's layout).

Images are judged as ImageNet's are: the shorter side becomes 8/7 of the input, and the middle is cut.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from nasviz.catalog import FACTS, IMAGE_FOLDER, DataFacts
from nasviz.data.epochs import epoch_order
from nasviz.data.images import Crop, DataSplit, check_image_shape, resize
from nasviz.data.published import missing_layout
from nasviz.errors import DataError

__all__ = ["FolderSet", "folder_facts", "load_folder"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's training images, as its networks are trained with."""
_TRAIN = ("train",)
_VALIDATION = ("val", "validation", "test")
_FIFTH = 5
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What may be in a file, whatever its name: Pillow would hand PostScript to Ghostscript, which runs it."""
Sample = tuple[str, int]


@dataclass(frozen=True, eq=False)
class FolderSet:
    """Labelled files of images."""

    samples: tuple[Sample, ...]
    """Path and label."""
    image_shape: tuple[int, int, int]
    """(C, H, W) of what `batch` returns."""

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def device(self) -> torch.device:
        """The processor, which decodes them."""
        return torch.device("cpu")

    def to(self, device: torch.device | str) -> FolderSet:
        """The set itself: its files stay where they are."""
        return self

    def in_epoch(self, seed: int, epoch: int) -> FolderSet:
        """The set itself: its images never vary."""
        return self

    def black(self) -> Tensor:
        """What a black pixel looks like in a batch, `(3, 1, 1)`."""
        return -torch.tensor(MEAN).reshape(3, 1, 1) / torch.tensor(STD).reshape(3, 1, 1)

    def batch(self, indices: Tensor, crop: Crop | None = None) -> tuple[Tensor, Tensor]:
        """Images `(B, 3, H, W)`, float32 and normalised, and their labels.

        Raises:
            DataError: A file cannot be decoded.
        """
        images = torch.cat([self._read(int(index), crop) for index in indices])
        mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (MEAN, STD))
        labels = torch.tensor([self.samples[int(index)][1] for index in indices])
        return (images / 255 - mean) / std, labels

    def _read(self, index: int, crop: Crop | None) -> Tensor:
        image = _decode(self.samples[index][0])  # (1, 3, h, w)
        height, width = image.shape[-2:]
        size = list(self.image_shape[1:])
        if crop is not None:
            top, left, height, width = crop(index, height, width)
            return resize(image[:, :, top : top + height, left : left + width], size)
        scale = max(size[0] / height, size[1] / width)
        # The middle 7/8 of what fits: cut before it is resized, which is the same and cheaper.
        box = [min(height, max(1, round(size[0] / scale * 7 / 8))), round(size[1] / scale * 7 / 8)]
        box[1] = min(width, max(1, box[1]))
        top, left = (height - box[0]) // 2, (width - box[1]) // 2
        return resize(image[:, :, top : top + box[0], left : left + box[1]], size)


def load_folder(image_shape: tuple[int, ...], folder: Path | None) -> DataSplit:
    """Training and validation images of a folder; they come out with `image_shape`.

    Raises:
        DataError: The folder is laid out differently, or the shape does not fit.
    """
    train, validation, classes = _parts(folder)
    shape = check_image_shape(image_shape, 3)
    facts = _facts(train, validation, classes)
    return DataSplit(facts, FolderSet(train, shape), FolderSet(validation, shape))


def folder_facts(folder: Path | None) -> DataFacts:
    """Classes and numbers of images of a folder; no image is opened.

    Raises:
        DataError: The folder is laid out differently.
    """
    return _facts(*_parts(folder))


def _facts(train: tuple[Sample, ...], validation: tuple[Sample, ...], classes: list[str]) -> DataFacts:
    return replace(
        FACTS[IMAGE_FOLDER], num_classes=len(classes), num_train=len(train), num_validation=len(validation)
    )


def _parts(folder: Path | None) -> tuple[tuple[Sample, ...], tuple[Sample, ...], list[str]]:
    """Samples to learn from, samples to judge by, and the classes."""
    if folder is None:
        raise missing_layout(IMAGE_FOLDER, "no folder is named", None)
    root = folder.expanduser()
    if not root.is_dir():
        raise missing_layout(IMAGE_FOLDER, "there is no such folder", root)
    train = next((root / name for name in _TRAIN if (root / name).is_dir()), None)
    if train is None:
        samples, classes = _listed(root, root)
        kept = _every_fifth(samples)
        if not kept:
            raise missing_layout(IMAGE_FOLDER, "no class has two images, one of them to judge by", root)
        return tuple(s for s in samples if s not in kept), tuple(s for s in samples if s in kept), classes
    validation = next((root / name for name in _VALIDATION if (root / name).is_dir()), None)
    if validation is None:
        raise missing_layout(IMAGE_FOLDER, "train is there, but nothing to judge by", root)
    learnt, classes = _listed(train, root)
    judged, others = _listed(validation, root)
    if classes != others:
        odd = sorted(set(classes) ^ set(others))
        raise missing_layout(
            IMAGE_FOLDER, f"train and {validation.name} differ in the class {str(odd[0])[:60]!r}", root
        )
    return learnt, judged, classes


def _listed(folder: Path, root: Path) -> tuple[tuple[Sample, ...], list[str]]:
    from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset

    try:
        classes, numbers = find_classes(str(folder))
        samples = make_dataset(str(folder), numbers, extensions=IMG_EXTENSIONS)
    except FileNotFoundError as error:
        words = str(error).splitlines()[0][:200]
        raise missing_layout(IMAGE_FOLDER, f"{folder.name}: {words}", root) from None
    return tuple(samples), classes


def _every_fifth(samples: tuple[Sample, ...]) -> set[Sample]:
    """One image in five of each class, the same ones every time."""
    kept: set[Sample] = set()
    for label in sorted({label for _, label in samples}):
        members = [sample for sample in samples if sample[1] == label]
        order = epoch_order(len(members), 0, 0, part=f"class {label}").tolist()
        kept |= {members[i] for i in order[: max(int(len(members) > 1), len(members) // _FIFTH)]}
    return kept


def _open_regular(path: str) -> BinaryIO:
    """Open a regular file; a pipe or a device would be waited for without end.

    Raises:
        DataError: It is anything else. Links to regular files are followed: subsets are often made of them.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{path} is a pipe, a device or a folder, and no image; remove it")
    return os.fdopen(descriptor, "rb")


def _decode(path: str) -> Tensor:
    """An image as `(1, 3, h, w)`, float32 from 0 to 255."""
    from PIL import Image, UnidentifiedImageError
    from torchvision.transforms.functional import pil_to_tensor

    try:
        with _open_regular(path) as file, Image.open(file, formats=_FORMATS) as image:
            pixels: Tensor = pil_to_tensor(image.convert("RGB"))
    except DataError:
        raise
    except UnidentifiedImageError as error:  # its own words name the open file, not the path
        raise DataError(f"{path} cannot be read as an image: its format is not known; remove it") from error
    except Exception as error:  # damaged files make decoders raise nearly anything
        raise DataError(f"{path} cannot be read as an image: {str(error)[:200]}; remove it") from error
    return pixels.to(torch.float32).unsqueeze(0)
