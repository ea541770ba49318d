"""torchvision's classifiers without pretrained weights, for a given input shape and number of classes."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from nasviz.catalog import Entry
from nasviz.errors import InvalidSettingError, UnknownNameError
from nasviz.extras import require_package

__all__ = [
    "build_timm",
    "build_torchvision",
    "replace_first_convolution",
    "require_timm",
    "timm_names",
]

_VIT_PATCHES = {"vit_b_16": 16, "vit_b_32": 32, "vit_h_14": 14, "vit_l_16": 16, "vit_l_32": 32}
_MAXVIT_STEP = 224
# Raised by timm for arguments that do not fit, which may come from a configuration of others.
_REFUSALS = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError),
    *(RuntimeError, TypeError, ValueError),
)


def build_torchvision(entry: Entry, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Return the network of a catalog entry with random weights.

    Auxiliary classifiers are kept; the first convolution is replaced if the image does not have three
    channels.

    Raises:
        InvalidSettingError: The network does not support such an image; the message gives the smallest size.
    """
    torchvision = require_package("torchvision", entry.name)
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


def timm_names() -> tuple[str, ...]:
    """Return all architectures of the installed timm, sorted.

    Raises:
        MissingPackageError: timm is not installed.
    """
    return tuple(sorted(require_timm().list_models()))


def build_timm(
    name: str,
    input_shape: tuple[int, ...] | None,
    num_classes: int | None,
    *,
    weights: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> tuple[nn.Module, tuple[int, ...]]:
    """Return the network, and the shape of one image. Nothing is downloaded.

    Args:
        name: Name in timm.
        input_shape: Shape (C, H, W), or `None` for the network's default.
        num_classes: Number of classes, or `None` for the network's default.
        weights: File of pretrained weights, or `None` for random ones.
        options: Further arguments of the network.

    Raises:
        UnknownNameError: timm has no such network; the message lists the nearest.
        InvalidSettingError: timm cannot build it for such an input or such options.
        MissingPackageError: timm is not installed.
    """
    timm = require_timm()
    if not timm.is_model(name):
        nearest = get_close_matches(name, timm.list_models(), n=3, cutoff=0.5)
        more = f"; nearest: {', '.join(nearest)}" if nearest else ""
        raise UnknownNameError(f"timm {timm.__version__} has no network {name!r}{more}")
    given = dict(options or {}) | ({} if num_classes is None else {"num_classes": num_classes})
    own = timm.get_pretrained_cfg(name)
    shape = input_shape or tuple(own.input_size if own is not None else (3, 224, 224))
    given |= {"in_chans": shape[0], "pretrained": weights is not None}
    if weights is not None:
        given["pretrained_cfg_overlay"] = {"file": str(weights), "source": "", "custom_load": False}
    try:
        if input_shape is not None:
            try:
                model = timm.create_model(name, **given | {"img_size": shape[1:]})
            except TypeError:  # convolutional networks take any size, and have no such argument
                model = timm.create_model(name, **given)
        else:
            model = timm.create_model(name, **given)
    except _REFUSALS as error:
        words = "×".join(map(str, shape))
        raise InvalidSettingError(f"timm cannot build {name} for images of {words}: {error}") from error
    return model, shape


def require_timm() -> Any:
    """Return the module timm.

    Raises:
        MissingPackageError: timm is not installed.
    """
    return require_package("timm", "this network")
