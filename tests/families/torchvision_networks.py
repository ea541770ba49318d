"""All classifiers and segmentation networks of torchvision, and the backbones of its detectors."""

from __future__ import annotations

from typing import Any

import torch
import torchvision
from torch import nn

__all__ = [
    "CLASSIFIERS",
    "DETECTORS",
    "SEGMENTERS",
    "classifier",
    "detector",
    "detector_backbone",
    "segmenter",
]

_MODELS = torchvision.models
CLASSIFIERS = tuple(_MODELS.list_models(module=_MODELS))
SEGMENTERS = tuple(_MODELS.list_models(module=_MODELS.segmentation))
DETECTORS = tuple(_MODELS.list_models(module=_MODELS.detection))
_SIZES = {"inception_v3": 299, "googlenet": 96, "alexnet": 96, "maxvit_t": 224, "vit_h_14": 56}


def classifier(name: str) -> tuple[nn.Module, torch.Tensor]:
    """A classifier and images that are as small as it allows."""
    size = _SIZES.get(name, 64)
    settings: dict[str, Any] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if name.startswith("vit_"):
        settings["image_size"] = size
    return _MODELS.get_model(name, weights=None, **settings), torch.randn(2, 3, size, size)


def segmenter(name: str) -> tuple[nn.Module, torch.Tensor]:
    """A segmentation network, with its auxiliary head where it has one."""
    auxiliary = None if name.startswith("lraspp") else True
    model = _MODELS.get_model(name, weights=None, weights_backbone=None, aux_loss=auxiliary)
    return model, torch.randn(2, 3, 64, 64)


def detector(name: str) -> nn.Module:
    """A detector for two classes on images of 64 pixels."""
    sizes = {} if name.startswith("ssd") else {"min_size": 64, "max_size": 64}
    return _MODELS.get_model(name, weights=None, weights_backbone=None, num_classes=2, **sizes)


def detector_backbone(name: str) -> tuple[nn.Module, torch.Tensor]:
    """What a detector computes its features with."""
    size = 300 if name.startswith("ssd") else 64
    return detector(name).backbone, torch.randn(2, 3, size, size)
