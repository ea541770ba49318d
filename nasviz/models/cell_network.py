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
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(last, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores before the softmax."""
        before_last = last = self.stem(images)
        if hasattr(self, "stem_end"):
            last = self.stem_end(before_last)
        for cell in self.cells:
            before_last, last = last, cell(before_last, last)
        scores: Tensor = self.classifier(self.flatten(self.pool(last)))
        return scores


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
