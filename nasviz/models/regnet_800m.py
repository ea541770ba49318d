"""RegNet-800M (Radosavovic et al., Designing Network Design Spaces, 2020), the network of ASGNAS's ablation.

| with 10 classes | parameters | structures | K_max |
| --- | --- | --- | --- |
| RegNetX-800MF, counted | 6,593,386 | 20 | 16 |
| RegNetY-800MF, counted | 5,655,362 | 18 | 14 |

ASGNAS does not say which of the two it uses. RegNetX fits its table 4: at K = 2 the printed 5.58 M remains
without one branch of the last stage and one small branch. The network is torchvision's; for images of 32x32,
its first convolution has stride one instead of two.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import nn

from nasviz.errors import InvalidSettingError
from nasviz.models.torchvision_networks import replace_first_convolution

__all__ = ["regnet_800m"]


_SMALLER = {
    "200M": {"depth": 13, "w_0": 24, "w_a": 36.44, "w_m": 2.49, "group_width": 8},
    "400M": {"depth": 22, "w_0": 24, "w_a": 24.48, "w_m": 2.54, "group_width": 16},
    "600M": {"depth": 16, "w_0": 48, "w_a": 36.97, "w_m": 2.24, "group_width": 24},
}
"""Parameters of the smaller networks of the family RegNetX, from its paper, table 4."""


def regnet_800m(
    num_classes: int = 10,
    in_channels: int = 3,
    family: Literal["x", "y"] = "x",
    stem: Literal["cifar", "imagenet"] = "cifar",
    scale: Literal["200M", "400M", "600M", "800M"] = "800M",
) -> nn.Module:
    """Return RegNetX-800MF or RegNetY-800MF, or a smaller RegNetX, with random weights.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of the image.
        family: "y" has a gate (squeeze and excitation) in every block.
        stem: "imagenet" halves the image in the first layer; "cifar" keeps its size, at four times the MACs.
        scale: MACs for images of 224 pixels; smaller ones only in the family x.

    Shapes:
        `(N, in_channels, H, W)` to `(N, num_classes)`.

    Raises:
        InvalidSettingError: A smaller network of the family y is asked for.
    """
    from torchvision import models

    build = models.regnet_x_800mf if family == "x" else models.regnet_y_800mf
    if scale in _SMALLER:
        if family != "x":
            raise InvalidSettingError(f"scale={scale} exists in the family x only; leave it at 800M")
        build = partial(_smaller, scale)
    model: nn.Module = build(weights=None, num_classes=num_classes)
    if stem == "cifar":
        first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
        first.stride = (1, 1)
    if in_channels != 3:
        replace_first_convolution(model, in_channels)
    return model


def _smaller(scale: str, weights: None, num_classes: int) -> nn.Module:
    from torchvision.models.regnet import BlockParams, RegNet

    blocks = BlockParams.from_init_params(**_SMALLER[scale])
    model: nn.Module = RegNet(blocks, num_classes=num_classes, norm_layer=partial(nn.BatchNorm2d, eps=1e-5))
    return model
