"""DARTS_V2 (Liu et al., 2019, figures 4 and 5): the network that second-order DARTS derived on CIFAR-10.

| | parameters | MACs |
| --- | --- | --- |
| CIFAR-10, C = 36, 20 cells, printed | 3.3 M | |
| the same, counted | 3,349,342 | 528,359,040 |
| ImageNet, C = 48, 14 cells, printed | 4.7 M | 574 M |
| the same, counted | 4,718,752 | 529,911,552 |

MACs are counted for convolutions and linear layers; the printed number includes others. The auxiliary heads
of training are left out, as in the printed numbers.
"""

from __future__ import annotations

from nasviz.models.cell_network import CellNetwork, Stem
from nasviz.models.cells import DerivedCell, Genotype

__all__ = ["DARTS_V2", "DartsV2"]

DARTS_V2 = Genotype(
    normal=(
        (("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
        (("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
        (("sep_conv_3x3", 1), ("skip_connect", 0)),
        (("skip_connect", 0), ("dil_conv_3x3", 2)),
    ),
    reduce=(
        (("max_pool_3x3", 0), ("max_pool_3x3", 1)),
        (("skip_connect", 2), ("max_pool_3x3", 1)),
        (("max_pool_3x3", 0), ("skip_connect", 2)),
        (("skip_connect", 2), ("max_pool_3x3", 1)),
    ),
)


class DartsV2(CellNetwork):
    """Derived network, for either stem.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of the image.
        channels: C of the first cell.
        cells: Number of cells.
        stem: "cifar" or "imagenet".

    Shapes:
        `(N, in_channels, H, W)` to `(N, num_classes)`.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        channels: int = 36,
        cells: int = 20,
        stem: Stem = "cifar",
    ) -> None:
        super().__init__(
            lambda config: DerivedCell(config, DARTS_V2), channels, cells, stem, num_classes, in_channels
        )
