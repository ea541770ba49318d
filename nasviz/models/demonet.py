"""DemoNet, the example network of ASGNAS (2023), figure 2a (OTOv3: figure 1a), for Fashion-MNIST.

| | parameters | MACs | top-1 |
| --- | --- | --- | --- |
| full network, printed | 0.82 M | 209 M | 84.9 |
| full network, counted | 817,010 | 208,871,584 | |
| sub-network of the paper, printed | 0.45 M | 107 M | 84.7 |
| without conv2, conv3 and conv8, counted | 447,410 | 106,813,600 | |

The paper gives only part of the topology and no widths; conv4, conv5, the first addition and all widths are
chosen here to reproduce all four printed counts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["DemoNet"]


class DemoNet(nn.Module):
    """Three concatenated branches, then two added ones; six removable structures, at most four at once.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of the image.
        width: Factor for the channels of every convolution.

    Shapes:
        `(N, in_channels, H, W)` to `(N, num_classes)`.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, width: float = 1.0) -> None:
        super().__init__()
        stem, outer, inner, neck, tail = (max(1, round(base * width)) for base in (32, 88, 104, 184, 144))

        self.conv1 = nn.Conv2d(in_channels, stem, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu1 = nn.ReLU()

        self.conv2 = nn.Conv2d(stem, outer, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(outer)

        self.maxpool = nn.MaxPool2d(3, stride=1, padding=1)
        self.conv3 = nn.Conv2d(stem, outer, 3, padding=1)
        self.bn3 = nn.BatchNorm2d(outer)

        self.avgpool = nn.AvgPool2d(3, stride=1, padding=1)
        self.conv4 = nn.Conv2d(stem, inner, 1)
        self.bn4 = nn.BatchNorm2d(inner)
        self.conv5 = nn.Conv2d(stem, inner, 3, padding=1)
        self.bn5 = nn.BatchNorm2d(inner)

        self.conv6 = nn.Conv2d(2 * outer + inner, neck, 3, stride=2, padding=1)
        self.bn6 = nn.BatchNorm2d(neck)
        self.conv7 = nn.Conv2d(neck, tail, 3, padding=1)
        self.bn7 = nn.BatchNorm2d(tail)
        self.conv8 = nn.Conv2d(neck, tail, 1)
        self.bn8 = nn.BatchNorm2d(tail)

        self.gap = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear9 = nn.Linear(tail, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores before the softmax."""
        stem = self.relu1(self.bn1(self.conv1(images)))
        left = self.bn2(self.conv2(stem))
        middle = self.bn3(self.conv3(self.maxpool(stem)))
        pooled = self.avgpool(stem)
        right = self.bn4(self.conv4(pooled)) + self.bn5(self.conv5(pooled))

        neck = self.bn6(self.conv6(torch.cat([left, middle, right], dim=1)))
        tail = self.bn7(self.conv7(neck)) + self.bn8(self.conv8(neck))
        scores: Tensor = self.linear9(self.flatten(self.gap(tail)))
        return scores
