"""Saliency scores: which removal structures are the least important."""

from nasviz.saliency.preview import score
from nasviz.saliency.probe import Probe, Proxy
from nasviz.saliency.reductions import Reductions, StructureIndex
from nasviz.saliency.scores import (
    SALIENCIES,
    AnySaliency,
    Saliency,
    documents,
    find,
    find_for_steps,
    gradient_cosine,
    magnitude,
    random,
    taylor,
)

__all__ = [
    "SALIENCIES",
    "AnySaliency",
    "Probe",
    "Proxy",
    "Reductions",
    "Saliency",
    "StructureIndex",
    "documents",
    "find",
    "find_for_steps",
    "gradient_cosine",
    "magnitude",
    "random",
    "score",
    "taylor",
]
