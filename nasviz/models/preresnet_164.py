"""PreResNet-164 (He et al., Identity Mappings in Deep Residual Networks, 2016), for images of 32x32.

| | parameters | MACs |
| --- | --- | --- |
| printed (RARTS dissertation, table 4.1) | 1.7 M | 248 M |
| 10 classes, counted | 1,703,258 | 247,646,720 |
| 100 classes, counted | 1,726,388 | 247,669,760 |
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["PreActivationBottleneck", "PreResNet"]

EXPANSION = 4


class PreActivationBottleneck(nn.Module):
    """Norm, ReLU and convolution, three times: 1x1, 3x3, 1x1; added to the input.

    Shapes:
        `(N, in_channels, H, W)` to `(N, 4 * channels, H / stride, W / stride)`.
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = EXPANSION * channels
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the branch plus the shortcut."""
        y = self.conv1(self.relu(self.bn1(x)))
        y = self.conv2(self.relu(self.bn2(y)))
        y = self.conv3(self.relu(self.bn3(y)))
        result: Tensor = y + self.shortcut(x)
        return result


class PreResNet(nn.Module):
    """Three stages of bottlenecks; the depth is 9 * `blocks` + 2.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of the image.
        blocks: Bottlenecks per stage.
        channels: Channels of the first convolution and of the bottlenecks of the first stage.

    Shapes:
        `(N, in_channels, H, W)` to `(N, num_classes)`.
    """

    def __init__(
        self, num_classes: int = 10, in_channels: int = 3, blocks: int = 18, channels: int = 16
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        width = channels
        stages = []
        for stage in range(3):
            inner = channels * 2**stage
            layers = []
            for block in range(blocks):
                layers.append(PreActivationBottleneck(width, inner, 2 if stage and not block else 1))
                width = EXPANSION * inner
            stages.append(nn.Sequential(*layers))
        self.layer1, self.layer2, self.layer3 = stages
        self.bn = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores before the softmax."""
        x = self.layer3(self.layer2(self.layer1(self.conv1(images))))
        scores: Tensor = self.linear(self.flatten(self.pool(self.relu(self.bn(x)))))
        return scores
