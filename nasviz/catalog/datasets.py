"""Data sets by name, with the folder layout that they expect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasviz.catalog.entry import Entry

__all__ = ["DATASETS", "FACTS", "IMAGE_FOLDER", "DataFacts", "data_title", "entry_of"]

IMAGE_FOLDER = "image_folder"
"""Any folder of images with one subfolder per class."""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """Properties of a data set that are known without opening it."""

    name: str
    channels: int
    size: int
    """Height and width of the stored images in pixels, or length of a text window."""
    num_classes: int
    """Number of classes; 0, as for the counts below, if it is known only after opening."""
    num_train: int
    num_validation: int
    text: str
    files: tuple[str, ...] = ()
    """Paths of the files relative to the data folder."""
    layout: str = ""
    """Description of the expected folder; empty if the data set needs no folder."""
    download_mb: int = 0
    """Size of the download in megabytes; 0 if there is no download."""
    kind: str = "images"
    """`images`, or `text`, whose examples are windows of `size` tokens from a vocabulary of `num_classes`."""
    loader: Callable[..., Any] | None = None
    """Returns training and validation data; None if `nasviz.data` reads them."""

    @property
    def needs_folder(self) -> bool:
        """Whether the user must give the folder."""
        return bool(self.layout)

    def find_files(self, root: Path) -> dict[str, Path]:
        """Return the path of each file that exists under `root`.

        Files lie where torchvision puts them, such as in `FashionMNIST/raw`, or in `root` itself; of several
        places, the one with the most files counts. IDX files may be compressed by gzip.

        Raises:
            OSError: The folder cannot be read.
        """
        parts = self.files[0].split("/")[:-1] if self.files else []
        places = [root.joinpath(*parts[start:]) for start in range(len(parts) + 1)]
        return max(
            ({file: path for file in self.files if (path := _existing(place, file))} for place in places),
            key=len,
        )


def _existing(place: Path, file: str) -> Path | None:
    name = file.rpartition("/")[2]
    names = [name]
    if name.endswith("-ubyte"):
        names += [name.replace("-idx", ".idx")]
        names += [f"{each}.gz" for each in names]
    return next((place / each for each in names if (place / each).is_file()), None)


def _published(
    name: str,
    shape: tuple[int, int, int],
    nums: tuple[int, int],
    text: str,
    files: tuple[str, ...],
    megabytes: int,
) -> DataFacts:
    """Return a data set of files with fixed names, which its layout lists."""
    num_classes, channels, size = shape
    folder = files[0].rpartition("/")[0]
    names = ", ".join(file.rpartition("/")[2] for file in files)
    packed = ", each as it is or as *.gz" if files[0].endswith("-ubyte") else ""
    layout = f"a folder with {names}{packed}" + (f", in itself or in {folder}" if folder else "")
    return DataFacts(name, channels, size, num_classes, *nums, text, files, layout, megabytes)


def _under(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)


_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

FACTS: dict[str, DataFacts] = {
    facts.name: facts
    for facts in (
        DataFacts(
            "digits",
            channels=1,
            size=8,
            num_classes=10,
            num_train=1437,
            num_validation=360,
            text="Handwritten digits of 43 writers, 8x8 pixels; included in scikit-learn, no download.",
        ),
        _published(
            "fashion_mnist",
            (10, 1, 28),
            (60_000, 10_000),
            "Grayscale images of clothing, 28x28 pixels; validation uses the test set.",
            _under("FashionMNIST/raw", *_IDX_FILES),
            30,
        ),
        _published(
            "mnist",
            (10, 1, 28),
            (60_000, 10_000),
            "Handwritten digits, 28x28 pixels; validation uses the test set.",
            _under("MNIST/raw", *_IDX_FILES),
            12,
        ),
        _published(
            "kmnist",
            (10, 1, 28),
            (60_000, 10_000),
            "Handwritten Japanese characters (Kuzushiji), 28x28 pixels; validation uses the test set.",
            _under("KMNIST/raw", *_IDX_FILES),
            21,
        ),
        _published(
            "svhn",
            (10, 3, 32),
            (73_257, 26_032),
            "Street View house numbers, cropped digits, 32x32 pixels; validation uses the test set.",
            ("train_32x32.mat", "test_32x32.mat"),
            246,
        ),
        _published(
            "cifar10",
            (10, 3, 32),
            (50_000, 10_000),
            "Images of ten classes of objects and animals, 32x32 pixels; validation uses the test set.",
            _under(
                "cifar-10-batches-py",
                *(f"data_batch_{number}" for number in range(1, 6)),
                *("test_batch", "batches.meta"),
            ),
            170,
        ),
        _published(
            "cifar100",
            (100, 3, 32),
            (50_000, 10_000),
            "Images of 100 classes of objects and animals, 32x32 pixels; validation uses the test set.",
            _under("cifar-100-python", "train", "test", "meta"),
            169,
        ),
        _published(
            "stl10",
            (10, 3, 96),
            (5_000, 8_000),
            "Images of ten classes of objects and animals, 96x96 pixels; unlabelled images are not used.",
            _under("stl10_binary", "train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"),
            2_640,
        ),
        DataFacts(
            IMAGE_FOLDER,
            channels=3,
            size=224,
            num_classes=0,
            num_train=0,
            num_validation=0,
            text="Your own images or ImageNet, one folder per class; decoded on demand.",
            layout=(
                "a folder with the subfolders train and val (or validation, or test), each with one folder of"
                " images per class and the same class names; or a folder with class folders only, of which"
                " every fifth image is used for validation"
            ),
        ),
        DataFacts(
            "python_docs",
            channels=0,
            size=32,
            num_classes=96,
            num_train=2048,
            num_validation=256,
            text="Characters of the help topics included in Python: a small stand-in for a corpus, which"
            " differs between Python versions.",
            kind="text",
        ),
        DataFacts(
            "penn_treebank",
            channels=0,
            size=35,
            num_classes=10_000,
            num_train=26_559,
            num_validation=2_107,
            text="Words of the Wall Street Journal, as prepared by Mikolov; requires your own copy.",
            files=("ptb.train.txt", "ptb.valid.txt"),
            layout="a folder with ptb.train.txt and ptb.valid.txt, as prepared by Mikolov",
            kind="text",
        ),
    )
}
"""Properties by name of the data set."""

_TITLES = {
    "digits": "Digits (scikit-learn)",
    "fashion_mnist": "Fashion-MNIST",
    "mnist": "MNIST",
    "kmnist": "Kuzushiji-MNIST",
    "svhn": "SVHN",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "stl10": "STL-10",
    IMAGE_FOLDER: "Image folder",
    "python_docs": "Python documentation (stand-in corpus)",
    "penn_treebank": "Penn Treebank (your folder)",
}
_CIFAR = "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
_CITATIONS = {
    "digits": "Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning"
    " Repository, 1998, doi:10.24432/C50P49",
    "fashion_mnist": "Xiao, Rasul, Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine"
    " Learning Algorithms, 2017, arXiv:1708.07747",
    "mnist": "LeCun, Bottou, Bengio, Haffner, Gradient-Based Learning Applied to Document Recognition, 1998",
    "kmnist": "Clanuwat et al., Deep Learning for Classical Japanese Literature, 2018, arXiv:1812.01718",
    "svhn": "Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, NIPS"
    " workshop, 2011",
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "stl10": "Coates, Lee, Ng, An Analysis of Single Layer Networks in Unsupervised Feature Learning,"
    " AISTATS 2011",
    IMAGE_FOLDER: "For ImageNet: Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015,"
    " arXiv:1409.0575",
    "python_docs": "Python Software Foundation, pydoc_data of the running Python",
    "penn_treebank": "Marcus, Santorini, Marcinkiewicz, Building a Large Annotated Corpus of English, 1993;"
    " prepared as in Mikolov et al., Recurrent Neural Network Based Language Model, 2010",
}


def entry_of(facts: DataFacts, title: str, citation: str) -> Entry:
    """Return the row of a data set."""
    return Entry(
        facts.name,
        title,
        facts.text,
        citation=citation,
        published={"num_train": facts.num_train, "num_validation": facts.num_validation},
        family=facts.kind,
        num_classes=facts.num_classes,
    )


DATASETS: dict[str, Entry] = {
    name: entry_of(facts, _TITLES[name], _CITATIONS[name]) for name, facts in FACTS.items()
}
"""Data sets by name, the default first."""


def data_title(name: str) -> str:
    """Return the title of a data set; for a user-defined callable, its name.

    Examples:
        >>> data_title("cifar10"), data_title("mine:plates")
        ('CIFAR-10', 'mine:plates')
    """
    return DATASETS[name].title if name in DATASETS else name
