"""Networks of timm by name, with random weights, for a given input shape and number of classes."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from torch import nn

from nasviz.errors import InvalidSettingError, UnknownNameError

__all__ = ["build_timm", "timm_names"]

MISSING = "timm is not installed: pip install timm"


def timm_names() -> tuple[str, ...]:
    """Return all architectures of the installed timm, sorted.

    Raises:
        InvalidSettingError: timm is not installed.
    """
    return tuple(sorted(_timm().list_models()))


def build_timm(
    name: str, input_shape: tuple[int, ...] | None, num_classes: int | None
) -> tuple[nn.Module, tuple[int, ...]]:
    """Return the network, and the shape of one image. Nothing is downloaded.

    Args:
        name: Name in timm.
        input_shape: Shape (C, H, W), or `None` for the network's default.
        num_classes: Number of classes, or `None` for the network's default.

    Raises:
        UnknownNameError: timm has no such network; the message lists the nearest.
        InvalidSettingError: timm is not installed, or cannot build it for such an input.
    """
    timm = _timm()
    if not timm.is_model(name):
        nearest = get_close_matches(name, timm.list_models(), n=3, cutoff=0.5)
        more = f"; nearest: {', '.join(nearest)}" if nearest else ""
        raise UnknownNameError(f"timm {timm.__version__} has no network {name!r}{more}")
    options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    own = timm.get_pretrained_cfg(name)
    shape = input_shape or tuple(own.input_size if own is not None else (3, 224, 224))
    options["in_chans"] = shape[0]
    try:
        if input_shape is not None:
            try:
                model = timm.create_model(name, pretrained=False, img_size=shape[1:], **options)
            except TypeError:  # convolutional networks take any size, and have no such argument
                model = timm.create_model(name, pretrained=False, **options)
        else:
            model = timm.create_model(name, pretrained=False, **options)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        words = "×".join(map(str, shape))
        raise InvalidSettingError(f"timm cannot build {name} for images of {words}: {error}") from error
    return model, shape


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise InvalidSettingError(MISSING) from error
    return timm
