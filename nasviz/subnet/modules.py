"""Modules as data: class and constructor settings, for the classes that a saved network may hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from nasviz.errors import ExportError, GraphError
from nasviz.subnet.literals import decode, decode_form, encode, encode_form
from nasviz.subnet.stochastic_depth import StochasticDepth
from nasviz.trace.leaves import BatchNormCall, OutputForm, ScaledDotProductAttention

__all__ = ["SETTINGS", "build_module", "describe_module", "settings_of"]

_CONVOLUTION = "in_channels out_channels kernel_size stride padding dilation groups bias padding_mode".split()
_NORM = "num_features eps momentum affine track_running_stats".split()
SETTINGS: dict[type[nn.Module], tuple[str, ...]] = {
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), tuple(_CONVOLUTION)),
    **dict.fromkeys(
        (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), (*_CONVOLUTION, "output_padding")
    ),
    nn.Linear: ("in_features", "out_features", "bias"),
    nn.Bilinear: ("in1_features", "in2_features", "out_features", "bias"),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), tuple(_NORM)),
    nn.LayerNorm: ("normalized_shape", "eps", "elementwise_affine", "bias"),
    nn.GroupNorm: ("num_groups", "num_channels", "eps", "affine"),
    nn.RMSNorm: ("normalized_shape", "eps", "elementwise_affine"),
    nn.Embedding: (
        "num_embeddings",
        "embedding_dim",
        "padding_idx",
        "max_norm",
        "norm_type",
        "scale_grad_by_freq",
        "sparse",
    ),
    nn.PReLU: ("num_parameters",),
    **dict.fromkeys(
        (
            nn.Dropout,
            nn.Dropout1d,
            nn.Dropout2d,
            nn.Dropout3d,
            nn.AlphaDropout,
            nn.FeatureAlphaDropout,
        ),
        ("p", "inplace"),
    ),
    ScaledDotProductAttention: ("p",),
    BatchNormCall: ("momentum", "eps"),
    StochasticDepth: ("p", "mode", "scale"),
    OutputForm: ("train_form", "eval_form"),
}
"""Classes that a file may name, and the settings that make an equal module."""

_BY_NAME = {kind.__name__: kind for kind in SETTINGS}


def settings_of(module: nn.Module) -> tuple[type[nn.Module], dict[str, Any]]:
    """Return the class of a module, or its equivalent in a file, with its settings.

    Raises:
        ExportError: The class is not on the list.
    """
    name = type(module).__name__
    if name == "StochasticDepth" and {"p", "mode"} <= set(vars(module)):
        settings = {"p": module.p, "mode": module.mode, "scale": getattr(module, "scale", True)}
        return StochasticDepth, settings
    if name == "DropPath" and "drop_prob" in vars(module):
        scale = getattr(module, "scale_by_keep", True)
        return StochasticDepth, {"p": float(module.drop_prob or 0), "mode": "row", "scale": scale}  # type: ignore[arg-type]
    for kind, names in SETTINGS.items():
        if isinstance(module, kind) and type(module).forward is kind.forward:
            return kind, {key: _setting(module, key) for key in names}
    raise ExportError(
        f"a module of class {name} cannot be saved as data: it is not on the list of classes that a file may"
        " name; export to ONNX instead, or save the state_dict"
    )


def _setting(module: nn.Module, name: str) -> Any:
    return module.bias is not None if name == "bias" else getattr(module, name)


def describe_module(module: nn.Module) -> dict[str, Any]:
    """Return class and settings of a module as JSON data."""
    kind, settings = settings_of(module)
    write = encode_form if kind is OutputForm else encode
    return {"class": kind.__name__, "settings": {key: write(value) for key, value in settings.items()}}


def build_module(data: Any) -> nn.Module:
    """Return the module that `describe_module` wrote, with tensors on the meta device.

    Raises:
        GraphError: The class is not on the list, or the settings do not fit it.
    """
    if not isinstance(data, Mapping) or set(data) != {"class", "settings"}:
        raise GraphError("a module must be given by its class and its settings")
    kind = _BY_NAME.get(data["class"]) if isinstance(data["class"], str) else None
    if kind is None:
        raise GraphError(f"the class {data['class']!r} is not on the list of classes that a file may name")
    settings = data["settings"]
    if not isinstance(settings, Mapping) or set(settings) != set(SETTINGS[kind]):
        raise GraphError(f"{kind.__name__} takes the settings {', '.join(SETTINGS[kind])}")
    read: Callable[[Any], Any] = decode_form if kind is OutputForm else lambda value: decode(value, {})
    values = {key: read(value) for key, value in settings.items()}
    try:
        with torch.device("meta"):
            return kind(**values)
    except (TypeError, ValueError, RuntimeError, OverflowError, AssertionError, ArithmeticError) as error:
        raise GraphError(f"{kind.__name__} cannot be made from its settings: {error}") from error
