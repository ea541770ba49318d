"""Data sets: facts without opening files, stored examples, and their order and augmentation in a run."""

from nasviz.catalog import DataFacts
from nasviz.data.augmentation import augmented
from nasviz.data.downloading import download
from nasviz.data.epochs import epoch_order
from nasviz.data.images import DataSplit, Images, ImageSet
from nasviz.data.loading import Opened, facts, load, open_data, require_labels
from nasviz.data.own import TARGETS, parts_of

__all__ = [
    "TARGETS",
    "DataFacts",
    "DataSplit",
    "ImageSet",
    "Images",
    "Opened",
    "augmented",
    "download",
    "epoch_order",
    "facts",
    "load",
    "open_data",
    "parts_of",
    "require_labels",
]
