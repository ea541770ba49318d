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

from typing import Literal

from torch import nn

from nasviz.models.torchvision_networks import replace_first_convolution

__all__ = ["regnet_800m"]


def regnet_800m(
    num_classes: int = 10,
    in_channels: int = 3,
    family: Literal["x", "y"] = "x",
    stem: Literal["cifar", "imagenet"] = "cifar",
) -> nn.Module:
    """Return RegNetX-800MF or RegNetY-800MF with random weights.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of the image.
        family: "y" has a gate (squeeze and excitation) in every block.
        stem: "imagenet" halves the image in the first layer; "cifar" keeps its size, at four times the MACs.

    Shapes:
        `(N, in_channels, H, W)` to `(N, num_classes)`.
    """
    from torchvision import models

    build = models.regnet_x_800mf if family == "x" else models.regnet_y_800mf
    model: nn.Module = build(weights=None, num_classes=num_classes)
    if stem == "cifar":
        first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
        first.stride = (1, 1)
    if in_channels != 3:
        replace_first_convolution(model, in_channels)
    return model
