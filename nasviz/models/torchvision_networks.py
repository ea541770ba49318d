"""torchvision's classifiers without pretrained weights, for a given input shape and number of classes."""

from __future__ import annotations

from typing import Any

from torch import nn

from nasviz.catalog import Entry
from nasviz.errors import InvalidSettingError

__all__ = ["build_torchvision", "replace_first_convolution"]

_VIT_PATCHES = {"vit_b_16": 16, "vit_b_32": 32, "vit_h_14": 14, "vit_l_16": 16, "vit_l_32": 32}
_MAXVIT_STEP = 224


def build_torchvision(entry: Entry, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Return the network of a catalog entry with random weights.

    Auxiliary classifiers are kept; the first convolution is replaced if the image does not have three
    channels.

    Raises:
        InvalidSettingError: The network does not support such an image; the message gives the smallest size.
    """
    import torchvision

    _check_size(entry, input_shape)
    channels, height, width = input_shape
    options: dict[str, Any] = {}
    if entry.name in ("googlenet", "inception_v3"):
        # torchvision initializes these two by scipy, which takes minutes, and warns.
        options = {"aux_logits": True, "init_weights": False}
    elif entry.name in _VIT_PATCHES:
        options = {"image_size": height}
    elif entry.name == "maxvit_t":
        options = {"input_size": (height, width)}
    model: nn.Module = torchvision.models.get_model(
        entry.name, weights=None, num_classes=num_classes, **options
    )
    if channels != 3:
        replace_first_convolution(model, channels)
    return model


def _check_size(entry: Entry, input_shape: tuple[int, ...]) -> None:
    _, height, width = input_shape
    asked = f"{entry.name} does not support images of {height}x{width}"
    if min(height, width) < entry.least_size:
        raise InvalidSettingError(f"{asked}; the smallest size is {entry.least_size}x{entry.least_size}")
    if (patch := _VIT_PATCHES.get(entry.name)) and (height != width or height % patch):
        raise InvalidSettingError(
            f"{asked}; it needs square images whose side is a multiple of its patch size, at least"
            f" {patch}x{patch}"
        )
    if entry.name == "maxvit_t" and (height % _MAXVIT_STEP or width % _MAXVIT_STEP):
        raise InvalidSettingError(f"{asked}; its windows need sides that are multiples of {_MAXVIT_STEP}")


def replace_first_convolution(model: nn.Module, channels: int) -> None:
    """Replace the first convolution of `model` by a new one for images of this many channels."""
    path, first = next((p, m) for p, m in model.named_modules() if isinstance(m, nn.Conv2d))
    replacement = nn.Conv2d(
        channels,
        first.out_channels,
        kernel_size=first.kernel_size,  # type: ignore[arg-type]
        stride=first.stride,  # type: ignore[arg-type]
        padding=first.padding,  # type: ignore[arg-type]
        dilation=first.dilation,  # type: ignore[arg-type]
        bias=first.bias is not None,
        padding_mode=first.padding_mode,  # type: ignore[arg-type]
    )
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, replacement)
