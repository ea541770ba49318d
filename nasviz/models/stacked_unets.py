"""StackedUnets of ASGNAS (2023), figure 5, for SVHN: two parallel U-Nets on one image.

| | parameters | MACs | top-1 |
| --- | --- | --- | --- |
| full network, printed | 0.80 M | 184 M | 95.3 |
| full network, counted | 795,466 | 183,915,136 | |
| sub-network of the paper, printed | 0.37 M | 115 M | 96.1 |
| without 13-19, 50-56, 63-70 and 72-75, counted | 369,370 | 114,573,952 | |

The topology is that of the authors' drawing, and the number in a module's name is the number of its node
there. Nodes without a module: the additions 20, 25, 34, 57, 62, 71, 76 and the squeezes 79, 81; missing
numbers were shape arithmetic. The widths are not published; those here reproduce all four printed counts.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Resize", "StackedUnets"]


class Resize(nn.Module):
    """Resize an image to the height and width of another one, by nearest neighbours."""

    def forward(self, image: Tensor, like: Tensor) -> Tensor:
        """Return `image` with the height and width of `like`."""
        return functional.interpolate(image, size=like.shape[-2:], mode="nearest")


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1)


class StackedUnets(nn.Module):
    """The left U-Net uses pooling, the right one strides; six removable structures, at most five at once.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of the image.
        width: Factor for the channels of every convolution.

    Shapes:
        `(N, in_channels, H, W)` to `(N, num_classes)`, H and W at least 8.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3, width: float = 1.0) -> None:
        super().__init__()
        self._add_left(in_channels, width)
        self._add_right(in_channels, width)
        out = _scaled(64, width)
        self.gap77 = nn.AdaptiveAvgPool2d(1)
        self.linear82 = nn.Linear(out, num_classes)

    def _add_left(self, in_channels: int, width: float) -> None:
        top, deep, node11, node14, node26, out = (_scaled(b, width) for b in (48, 64, 80, 96, 160, 64))
        self.conv0 = _conv(in_channels, top)
        self.bn1 = nn.BatchNorm2d(top)
        self.relu2 = nn.ReLU()
        self.conv3 = _conv(top, top)

        self.maxpool4 = nn.MaxPool2d(2)
        self.conv5 = _conv(top, deep)
        self.relu6 = nn.ReLU()
        self.conv7 = _conv(deep, deep)
        self.relu8 = nn.ReLU()
        self.bn9 = nn.BatchNorm2d(deep)

        self.maxpool10 = nn.MaxPool2d(2)
        self.conv11 = _conv(deep, node11)
        self.conv12 = _conv(node11, deep)

        self.maxpool13 = nn.MaxPool2d(2)
        self.conv14 = _conv(deep, node14)
        self.conv15 = _conv(node14, deep)
        self.resize19 = Resize()

        self.resize24 = Resize()
        self.conv26 = _conv(deep, node26)
        self.conv27 = _conv(node26, top)
        self.bn28 = nn.BatchNorm2d(top)
        self.relu29 = nn.ReLU()
        self.resize33 = Resize()

        self.relu35 = nn.ReLU()
        self.conv36 = _conv(top, out)
        self.relu37 = nn.ReLU()
        self.bn38 = nn.BatchNorm2d(out)

    def _add_right(self, in_channels: int, width: float) -> None:
        top, node45, node50, out = (_scaled(base, width) for base in (56, 24, 80, 64))
        self.conv39 = _conv(in_channels, top)
        self.bn40 = nn.BatchNorm2d(top)
        self.relu41 = nn.ReLU()

        self.conv42 = _conv(top, top, stride=2)
        self.conv43 = _conv(top, top)
        self.relu44 = nn.ReLU()

        self.conv45 = _conv(top, node45, stride=2)
        self.relu46 = nn.ReLU()
        self.bn47 = nn.BatchNorm2d(node45)
        self.conv48 = _conv(node45, node45)
        self.conv49 = _conv(node45, top)

        self.conv50 = _conv(top, node50, stride=2)
        self.conv51 = _conv(node50, node50)
        self.conv52 = _conv(node50, top)
        self.resize56 = Resize()

        self.resize61 = Resize()
        self.conv63 = _conv(top, top)
        self.conv64 = _conv(top, top)
        self.bn65 = nn.BatchNorm2d(top)
        self.relu66 = nn.ReLU()
        self.resize70 = Resize()

        self.relu72 = nn.ReLU()
        self.conv73 = _conv(top, out)
        self.relu74 = nn.ReLU()
        self.bn75 = nn.BatchNorm2d(out)

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores before the softmax. Runs in the order of the node numbers."""
        left = self._left(images)
        right = self._right(images)
        pooled = self.gap77(left + right)
        scores: Tensor = self.linear82(pooled.squeeze(3).squeeze(2))
        return scores

    def _left(self, images: Tensor) -> Tensor:
        node3 = self.conv3(self.relu2(self.bn1(self.conv0(images))))
        node9 = self.bn9(self.relu8(self.conv7(self.relu6(self.conv5(self.maxpool4(node3))))))
        node12 = self.conv12(self.conv11(self.maxpool10(node9)))
        node15 = self.conv15(self.conv14(self.maxpool13(node12)))
        node20 = node12 + self.resize19(node15, like=node12)
        node25 = node9 + self.resize24(node20, like=node9)
        node29 = self.relu29(self.bn28(self.conv27(self.conv26(node25))))
        node34 = node3 + self.resize33(node29, like=node3)
        node38: Tensor = self.bn38(self.relu37(self.conv36(self.relu35(node34))))
        return node38

    def _right(self, images: Tensor) -> Tensor:
        node41 = self.relu41(self.bn40(self.conv39(images)))
        node44 = self.relu44(self.conv43(self.conv42(node41)))
        node49 = self.conv49(self.conv48(self.bn47(self.relu46(self.conv45(node44)))))
        node52 = self.conv52(self.conv51(self.conv50(node49)))
        node57 = node49 + self.resize56(node52, like=node49)
        node62 = node44 + self.resize61(node57, like=node44)
        node66 = self.relu66(self.bn65(self.conv64(self.conv63(node62))))
        node71 = node41 + self.resize70(node66, like=node41)
        node75: Tensor = self.bn75(self.relu74(self.conv73(self.relu72(node71))))
        return node75


def _scaled(base: int, width: float) -> int:
    return max(1, round(base * width))
