"""Data sets that can be chosen by name, and the folders they are expected in."""

from __future__ import annotations

from dataclasses import dataclass

from nasviz.catalog.entry import Entry

__all__ = ["DATASETS", "FACTS", "IMAGE_FOLDER", "DataFacts", "data_title"]

IMAGE_FOLDER = "image_folder"
"""Any folder of images with one folder a class."""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What a data set is, as far as it can be known without opening it."""

    name: str
    channels: int
    size: int
    """Height and width of an image as stored, pixels."""
    num_classes: int
    """0, here and below: known once it is opened."""
    num_train: int
    num_validation: int
    text: str
    files: tuple[str, ...] = ()
    """Where they lie under the folder that a person names."""
    layout: str = ""
    """What that folder has to look like, in words; empty where none is needed."""
    download_mb: int = 0
    """Size of the download; 0: there is none."""
    kind: str = "images"
    """`images`, or `text`: then an example is a window of `size` symbols, of `num_classes` kinds."""

    @property
    def needs_folder(self) -> bool:
        """Whether a person has to name the folder it lies in."""
        return bool(self.layout)


def _published(
    name: str,
    shape: tuple[int, int, int],
    nums: tuple[int, int],
    text: str,
    files: tuple[str, ...],
    megabytes: int,
) -> DataFacts:
    """A data set of files with known names: its layout lists them."""
    num_classes, channels, size = shape
    folder = files[0].rpartition("/")[0]
    names = ", ".join(file.rpartition("/")[2] for file in files)
    layout = f"the folder {folder} in it, with {names}" if folder else f"{names} in it"
    return DataFacts(name, channels, size, num_classes, *nums, text, files, layout, megabytes)


def _under(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)


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
            text="Handwritten digits of 43 people in 8x8 pixels, part of scikit-learn: nothing to download.",
        ),
        _published(
            "fashion_mnist",
            (10, 1, 28),
            (60_000, 10_000),
            "Grey pictures of clothes in 28x28 pixels; judged by its test images.",
            _under(
                "FashionMNIST/raw",
                *("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
                *("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
            ),
            30,
        ),
        _published(
            "svhn",
            (10, 3, 32),
            (73_257, 26_032),
            "House numbers as seen from the street in 32x32 pixels, cropped; judged by its test images.",
            ("train_32x32.mat", "test_32x32.mat"),
            246,
        ),
        _published(
            "cifar10",
            (10, 3, 32),
            (50_000, 10_000),
            "Pictures of ten kinds of things and animals in 32x32 pixels; judged by its test images.",
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
            "Pictures of a hundred kinds of things and animals in 32x32 pixels; judged by its test images.",
            _under("cifar-100-python", "train", "test", "meta"),
            169,
        ),
        _published(
            "stl10",
            (10, 3, 96),
            (5_000, 8_000),
            "Pictures of ten kinds of things and animals in 96x96 pixels; unlabelled ones are not read.",
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
            text="Your own images, or ImageNet's, one folder a class; decoded when they are needed.",
            layout=(
                "the folders train and val in it (also validation or test), each with one folder of images a"
                " class, the same names in both; or the folders of the classes alone, of which every fifth"
                " image is then kept for judging"
            ),
        ),
        DataFacts(
            "python_docs",
            channels=0,
            size=32,
            num_classes=96,
            num_train=2048,
            num_validation=256,
            text="Characters of the help topics that come with Python itself: a small stand-in for a corpus,"
            " another text with each version of Python.",
            kind="text",
        ),
        DataFacts(
            "penn_treebank",
            channels=0,
            size=35,
            num_classes=10_000,
            num_train=26_559,
            num_validation=2_107,
            text="Words of the Wall Street Journal, as Mikolov has prepared them; bring your own copy.",
            files=("ptb.train.txt", "ptb.valid.txt"),
            layout="ptb.train.txt and ptb.valid.txt in it, as Mikolov has prepared them",
            kind="text",
        ),
    )
}
"""By name of the data set."""

_TITLES = {
    "digits": "Digits (scikit-learn)",
    "fashion_mnist": "Fashion-MNIST",
    "svhn": "SVHN",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "stl10": "STL-10",
    IMAGE_FOLDER: "A folder of images",
    "python_docs": "Python's documentation (stand-in text)",
    "penn_treebank": "Penn Treebank (your folder)",
}
_CIFAR = "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
_CITATIONS = {
    "digits": "Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning"
    " Repository, 1998, doi:10.24432/C50P49",
    "fashion_mnist": "Xiao, Rasul, Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine"
    " Learning Algorithms, 2017, arXiv:1708.07747",
    "svhn": "Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, NIPS"
    " workshop, 2011",
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "stl10": "Coates, Lee, Ng, An Analysis of Single Layer Networks in Unsupervised Feature Learning,"
    " AISTATS 2011",
    IMAGE_FOLDER: "Of ImageNet: Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015,"
    " arXiv:1409.0575",
    "python_docs": "Python Software Foundation, pydoc_data of the Python that runs",
    "penn_treebank": "Marcus, Santorini, Marcinkiewicz, Building a Large Annotated Corpus of English, 1993;"
    " prepared as in Mikolov et al., Recurrent Neural Network Based Language Model, 2010",
}

DATASETS: dict[str, Entry] = {
    name: Entry(
        name,
        _TITLES[name],
        facts.text,
        citation=_CITATIONS[name],
        published={"num_train": facts.num_train, "num_validation": facts.num_validation},
        family=facts.kind,
        num_classes=facts.num_classes,
    )
    for name, facts in FACTS.items()
}
"""By name, the default first."""


def data_title(name: str) -> str:
    """What people call a data set; a callable of the user's own Python is called by its name.

    Examples:
        >>> data_title("cifar10"), data_title("mine:plates")
        ('CIFAR-10', 'mine:plates')
    """
    return DATASETS[name].title if name in DATASETS else name
