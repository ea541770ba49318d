"""The two networks of the comparison on digits: small enough to be trained a hundred times on a processor."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nasviz.models.demonet import DemoNet

__all__ = ["NETWORKS"]


class Block(nn.Module):
    """Two 3x3 convolutions beside an identity, or beside a 1x1 convolution where the width changes."""

    def __init__(self, before: int, after: int, stride: int, *, is_first: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Identity()
        if is_first:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(inner + self.shortcut(x))


class SmallResNet(nn.Module):
    """Three stages of three blocks: nine residual branches and three shortcuts, of which nine may go.

    A branch of the last stage has 23 times the parameters of one of the first, and 560 times those of the
    smallest shortcut.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        widths = [(8, 8, 1), (8, 16, 2), (16, 32, 2)]
        self.stages = nn.Sequential(
            *(
                nn.Sequential(
                    Block(before, after, stride, is_first=True),
                    *(Block(after, after, 1, is_first=False) for _ in range(2)),
                )
                for before, after, stride in widths
            )
        )
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(torch.relu(self.bn(self.stem(x))))
        scores: Tensor = self.head(x.mean(dim=(2, 3)))
        return scores


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "DemoNet, quarter width": lambda: DemoNet(width=0.25),
    "residual network": SmallResNet,
}
