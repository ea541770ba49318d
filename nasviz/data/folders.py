"""Folders of images, one per class, decoded on demand (ImageNet's layout).

Validation images are processed as for ImageNet: the shorter side becomes 8/7 of the input, and the centre is
cropped.
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
from nasviz.guarded_files import GUARDED

__all__ = ["FolderSet", "folder_facts", "load_folder"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Channel statistics of ImageNet's training images, as used by its pretrained networks."""
_TRAIN = ("train",)
_VALIDATION = ("val", "validation", "test")
_FIFTH = 5
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Accepted formats, whatever the file name: Pillow would pass PostScript to Ghostscript, which runs it."""
Sample = tuple[str, int]


@dataclass(frozen=True, eq=False)
class FolderSet:
    """Labelled files of images."""

    samples: tuple[Sample, ...]
    """Path and label."""
    image_shape: tuple[int, int, int]
    """Shape (C, H, W) of the images that `batch` returns."""

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def device(self) -> torch.device:
        """The CPU, which decodes the images."""
        return torch.device("cpu")

    def to(self, device: torch.device | str) -> FolderSet:
        """Return the set itself: images stay in files."""
        return self

    def in_epoch(self, seed: int, epoch: int) -> FolderSet:
        """Return the set itself: images do not change."""
        return self

    def black(self) -> Tensor:
        """Return the value of a black pixel in a batch, `(3, 1, 1)`."""
        return -torch.tensor(MEAN).reshape(3, 1, 1) / torch.tensor(STD).reshape(3, 1, 1)

    def batch(self, indices: Tensor, crop: Crop | None = None) -> tuple[Tensor, Tensor]:
        """Return images `(B, 3, H, W)`, float32 and normalized, and their labels.

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
        # Crop the central 7/8 before resizing: equivalent to resizing first, and cheaper.
        box = [min(height, max(1, round(size[0] / scale * 7 / 8))), round(size[1] / scale * 7 / 8)]
        box[1] = min(width, max(1, box[1]))
        top, left = (height - box[0]) // 2, (width - box[1]) // 2
        return resize(image[:, :, top : top + box[0], left : left + box[1]], size)


def load_folder(image_shape: tuple[int, ...], folder: Path | None) -> DataSplit:
    """Return training and validation images of a folder in `image_shape`.

    Raises:
        DataError: The folder has another layout, or the shape does not fit.
    """
    train, validation, classes = _parts(folder)
    shape = check_image_shape(image_shape, 3)
    facts = _facts(train, validation, classes)
    return DataSplit(facts, FolderSet(train, shape), FolderSet(validation, shape))


def folder_facts(folder: Path | None) -> DataFacts:
    """Return the classes and numbers of images of a folder, without opening an image.

    Raises:
        DataError: The folder has another layout.
    """
    return _facts(*_parts(folder))


def _facts(train: tuple[Sample, ...], validation: tuple[Sample, ...], classes: list[str]) -> DataFacts:
    return replace(
        FACTS[IMAGE_FOLDER], num_classes=len(classes), num_train=len(train), num_validation=len(validation)
    )


def _parts(folder: Path | None) -> tuple[tuple[Sample, ...], tuple[Sample, ...], list[str]]:
    """Return training samples, validation samples, and the classes."""
    if folder is None:
        raise missing_layout(IMAGE_FOLDER, "no folder is given", None)
    root = folder.expanduser()
    if not root.is_dir():
        raise missing_layout(IMAGE_FOLDER, "there is no such folder", root)
    train = next((root / name for name in _TRAIN if (root / name).is_dir()), None)
    if train is None:
        samples, classes = _list_samples(root, root)
        kept = _one_fifth(samples)
        if not kept:
            raise missing_layout(IMAGE_FOLDER, "no class has two images, one of them for validation", root)
        return tuple(s for s in samples if s not in kept), tuple(s for s in samples if s in kept), classes
    validation = next((root / name for name in _VALIDATION if (root / name).is_dir()), None)
    if validation is None:
        raise missing_layout(IMAGE_FOLDER, "there is a train folder, but no validation folder", root)
    learnt, classes = _list_samples(train, root)
    judged, others = _list_samples(validation, root)
    if classes != others:
        odd = sorted(set(classes) ^ set(others))
        raise missing_layout(
            IMAGE_FOLDER, f"train and {validation.name} differ in the class {str(odd[0])[:60]!r}", root
        )
    return learnt, judged, classes


def _list_samples(folder: Path, root: Path) -> tuple[tuple[Sample, ...], list[str]]:
    from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset

    try:
        classes, numbers = find_classes(str(folder))
        samples = make_dataset(str(folder), numbers, extensions=IMG_EXTENSIONS)
    except FileNotFoundError as error:
        words = str(error).splitlines()[0][:200]
        raise missing_layout(IMAGE_FOLDER, f"{folder.name}: {words}", root) from None
    return tuple(samples), classes


def _one_fifth(samples: tuple[Sample, ...]) -> set[Sample]:
    """Return a fifth of the images of each class, at random but always the same."""
    kept: set[Sample] = set()
    for label in sorted({label for _, label in samples}):
        members = [sample for sample in samples if sample[1] == label]
        order = epoch_order(len(members), 0, 0, part=f"class {label}").tolist()
        kept |= {members[i] for i in order[: max(int(len(members) > 1), len(members) // _FIFTH)]}
    return kept


def _open_regular(path: str) -> BinaryIO:
    """Open a regular file; opening a pipe or device could block forever.

    Raises:
        DataError: It is anything else. Links to regular files are followed, as subsets often consist of
            links.
    """
    descriptor = os.open(path, os.O_RDONLY | GUARDED & ~getattr(os, "O_NOFOLLOW", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{path} is a pipe, a device or a folder, not an image; remove it")
    return os.fdopen(descriptor, "rb")


def _decode(path: str) -> Tensor:
    """Return an image as `(1, 3, h, w)`, float32 from 0 to 255."""
    from PIL import Image, UnidentifiedImageError
    from torchvision.transforms.functional import pil_to_tensor

    try:
        with _open_regular(path) as file, Image.open(file, formats=_FORMATS) as image:
            pixels: Tensor = pil_to_tensor(image.convert("RGB"))
    except DataError:
        raise
    except UnidentifiedImageError as error:  # its message names the file object, not the path
        raise DataError(f"{path} cannot be read as an image: its format is unknown; remove it") from error
    except Exception as error:  # decoders raise nearly anything for damaged files
        raise DataError(f"{path} cannot be read as an image: {str(error)[:200]}; remove it") from error
    return pixels.to(torch.float32).unsqueeze(0)
