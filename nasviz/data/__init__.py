"""Data sets: facts that need no file, images as stored, and the order in which a run meets them."""

from nasviz.catalog import DataFacts
from nasviz.data.epochs import epoch_order
from nasviz.data.images import DataSplit, ImageSet
from nasviz.data.loading import facts, load

__all__ = ["DataFacts", "DataSplit", "ImageSet", "epoch_order", "facts", "load"]
