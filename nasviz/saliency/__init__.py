"""Saliency scores: which removal structures a network would miss least."""

from nasviz.saliency.preview import score
from nasviz.saliency.reductions import Reductions, StructureIndex
from nasviz.saliency.scores import SALIENCIES, Saliency, documents, find, magnitude, random, taylor

__all__ = [
    "SALIENCIES",
    "Reductions",
    "Saliency",
    "StructureIndex",
    "documents",
    "find",
    "magnitude",
    "random",
    "score",
    "taylor",
]
