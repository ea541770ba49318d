"""Skeleton of DARTS: a stem, cells of which two reduce, global pooling, one linear layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from nasviz.models.cells import Cell, CellConfig

__all__ = ["CellNetwork", "Stem"]

Stem = Literal["cifar", "imagenet"]
STEM_MULTIPLIER = 3


class CellNetwork(nn.Module):
    """Sequence of cells; those at one third and two thirds of the depth halve the image and double C.

    Args:
        make_cell: Builds the cell for a configuration; the cell defines `out_channels`.
        channels: C of the first cell.
        num_cells: Number of cells.
        stem: "cifar" keeps the image size; "imagenet" divides it by eight, in three convolutions.
        num_classes: Size of the output.
        in_channels: Channels of the image.
        auxiliary_size: Height and width of the image where a second head behind two thirds of the cells
            shall learn too; training then returns the scores of both.

    Shapes:
        `(N, in_channels, H, W)` to `(N, num_classes)`.
    """

    def __init__(
        self,
        make_cell: Callable[[CellConfig], Cell],
        channels: int,
        num_cells: int,
        stem: Stem = "cifar",
        num_classes: int = 10,
        in_channels: int = 3,
        auxiliary_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if stem == "cifar":
            width = STEM_MULTIPLIER * channels
            self.stem = nn.Sequential(
                nn.Conv2d(in_channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
            )
        else:
            width = channels
            self.stem = _halve_twice(in_channels, channels)
            self.stem_end = _halve_once(channels)
        self.cells = nn.ModuleList()
        before_last, last, reduced = width, width, stem == "imagenet"
        for number in range(num_cells):
            is_reduction = number in (num_cells // 3, 2 * num_cells // 3)
            channels *= 2 if is_reduction else 1
            cell = make_cell(CellConfig(before_last, last, channels, is_reduction, reduced))
            self.cells.append(cell)
            before_last, last, reduced = last, cell.out_channels, is_reduction
            if auxiliary_size is not None and number == 2 * num_cells // 3:
                halved = (3 if stem == "imagenet" else 0) + len({num_cells // 3, 2 * num_cells // 3})
                self.auxiliary = _auxiliary_head(last, _halved(min(auxiliary_size), halved), num_classes)
                self.auxiliary_cell = number
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(last, num_classes)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the class scores before the softmax; in training those of the auxiliary head, too."""
        auxiliary = None
        before_last = last = self.stem(images)
        if hasattr(self, "stem_end"):
            last = self.stem_end(before_last)
        for number, cell in enumerate(self.cells):
            before_last, last = last, cell(before_last, last)
            if self.training and hasattr(self, "auxiliary") and number == self.auxiliary_cell:
                auxiliary = self.auxiliary(last)
        scores: Tensor = self.classifier(self.flatten(self.pool(last)))
        return scores if auxiliary is None else (scores, auxiliary)


def _halved(side: int, times: int) -> int:
    """Return what is left of a side after so many strides of two."""
    for _ in range(times):
        side = -(-side // 2)
    return side


def _auxiliary_head(channels: int, side: int, num_classes: int) -> nn.Sequential:
    """Return the auxiliary head of DARTS: pooling to 2x2, two convolutions, one linear layer."""
    # 5x5 windows on images of 8x8 (CIFAR) or 7x7 (ImageNet), which overlap and leave 2x2.
    pool = nn.AvgPool2d(5, side - 5, count_include_pad=False) if side >= 7 else nn.AdaptiveAvgPool2d(2)
    return nn.Sequential(
        nn.ReLU(),
        pool,
        nn.Conv2d(channels, 128, 1, bias=False),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.Conv2d(128, 768, 2, bias=False),
        nn.BatchNorm2d(768),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(768, num_classes),
    )


def _halve_twice(in_channels: int, channels: int) -> nn.Sequential:
    half = channels // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, half, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(),
        nn.Conv2d(half, channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
    )


def _halve_once(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
    )
