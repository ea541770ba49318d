"""SuperResNet of ASGNAS (2023), section 4: ResNets with a choice of kernel sizes.

Each super-residual block has parallel 3x3, 5x5 and 7x7 kernels, one of which ZenNAS (Lin et al., 2021) has
chosen. ASGNAS gives the kernels, and says that ZenNAS's optimum is among the sub-networks; depths and widths
are those of that optimum, for 1 M and 2 M parameters.

| counted, 10 classes, 32x32 | parameters | MACs | candidates |
| --- | --- | --- | --- |
| 1M, all kernels | 3,201,442 | 295,114,752 | 96 |
| 1M, ZenNAS's optimum (printed: 1.0 M) | 993,762 | 159,213,568 | 32 |
| 2M, all kernels | 7,763,322 | 1,808,610,304 | 108 |
| 2M, ZenNAS's optimum (printed: 2.0 M) | 1,980,602 | 481,432,576 | 36 |
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from nasviz.models.cells import total

__all__ = [
    "ONE_M",
    "TWO_M",
    "Plan",
    "Stage",
    "SuperBottleneck",
    "SuperResNet",
    "super_resnet_1m",
    "super_resnet_2m",
]

KERNELS = (3, 5, 7)


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a plan: the kernel that ZenNAS chose, and the dimensions of its blocks."""

    kernel: int
    channels: int
    stride: int
    bottleneck: int
    depth: int
    """Layers of two bottlenecks each."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Widths and depths of a network."""

    stem: int
    stages: tuple[Stage, ...]
    head: int


ONE_M = Plan(
    88,
    (
        Stage(7, 120, 1, 16, 1),
        Stage(7, 192, 2, 16, 3),
        Stage(5, 224, 1, 24, 4),
        Stage(5, 96, 2, 24, 2),
        Stage(3, 168, 2, 40, 3),
        Stage(3, 112, 1, 48, 3),
    ),
    512,
)
TWO_M = Plan(
    32,
    (
        Stage(5, 120, 1, 40, 1),
        Stage(5, 176, 2, 32, 3),
        Stage(7, 272, 1, 24, 3),
        Stage(3, 176, 1, 56, 3),
        Stage(3, 176, 1, 64, 4),
        Stage(5, 216, 2, 40, 2),
        Stage(3, 72, 2, 56, 2),
    ),
    512,
)


def conv_norm(in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """Return a convolution without bias, and its norm."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class SuperBottleneck(nn.Module):
    """1x1, then the sum of several parallel kernels, then 1x1; added to the shortcut.

    Args:
        in_channels: Input channels.
        channels: Output channels.
        bottleneck: Channels between the two 1x1 convolutions.
        kernels: Sizes of the parallel kernels.
        stride: Stride of the parallel kernels.
        projects: Whether the shortcut is a 1x1 convolution with a norm instead of the identity.

    Shapes:
        `(N, in_channels, H, W)` to `(N, channels, H / stride, W / stride)`.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        bottleneck: int,
        kernels: tuple[int, ...],
        stride: int = 1,
        projects: bool = False,
    ) -> None:
        super().__init__()
        self.reduce = conv_norm(in_channels, bottleneck)
        self.candidates = nn.ModuleDict(
            {
                f"conv{kernel}x{kernel}": conv_norm(bottleneck, bottleneck, kernel, stride)
                for kernel in kernels
            }
        )
        self.expand = conv_norm(bottleneck, channels)
        self.relu = nn.ReLU()
        self.shortcut = conv_norm(in_channels, channels, 1, stride) if projects else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the branch plus the shortcut."""
        y = self.relu(self.reduce(x))
        y = self.relu(total([candidate(y) for candidate in self.candidates.values()]))
        result: Tensor = self.relu(self.expand(y) + self.shortcut(x))
        return result


class SuperResNet(nn.Module):
    """Stages of super-residual blocks between a 3x3 stem and a 1x1 head.

    Args:
        plan: Widths and depths.
        num_classes: Size of the output.
        in_channels: Channels of the image.
        width: Factor for the channels of every convolution.
        kernels: "all" uses the three sizes in parallel, "best" builds only ZenNAS's optimum.

    Shapes:
        `(N, in_channels, H, W)` to `(N, num_classes)`.
    """

    def __init__(
        self,
        plan: Plan,
        num_classes: int = 10,
        in_channels: int = 3,
        width: float = 1.0,
        kernels: str = "all",
    ) -> None:
        super().__init__()
        channels = _scaled(plan.stem, width)
        self.stem = nn.Sequential(*conv_norm(in_channels, channels, 3), nn.ReLU())
        self.stages = nn.ModuleList()
        for stage in plan.stages:
            blocks = []
            out, inner = _scaled(stage.channels, width), _scaled(stage.bottleneck, width)
            sizes = KERNELS if kernels == "all" else (stage.kernel,)
            for number in range(2 * stage.depth):
                stride = 1 if number else stage.stride
                # The first block of a stage projects even if the widths agree, as in ZenNAS.
                blocks.append(SuperBottleneck(channels, out, inner, sizes, stride, projects=not number))
                channels = out
            self.stages.append(nn.Sequential(*blocks))
        head = _scaled(plan.head, width)
        self.head = nn.Sequential(*conv_norm(channels, head), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(head, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores before the softmax."""
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
        scores: Tensor = self.linear(self.flatten(self.pool(self.head(x))))
        return scores


def _scaled(base: int, width: float) -> int:
    return max(1, round(base * width))


super_resnet_1m = partial(SuperResNet, ONE_M)
super_resnet_2m = partial(SuperResNet, TWO_M)
