"""Super-network of DARTS (Liu et al., 2019) without architecture weights, as ASGNAS (2023) searches it.

| | parameters | MACs | structures |
| --- | --- | --- | --- |
| 8 cells, 32x32, printed | 4.05 M | 614 M | |
| the same with C = 24, counted | 4,083,058 | 600,002,304 | 464 |
| 14 cells, 224x224, C = 48, 1000 classes, counted | 25,532,896 | 2,835,022,080 | 800 |

C = 24 is not printed: it is the width that reproduces both numbers. With one variable for each channel of
every norm, as an exported network has them, parameters are 4.05 M; the printed MACs include norms. A
FactorizedReduce counts as one structure. Norms behind convolutions have a scale and a shift, so that an
operation whose variables are zero is silent.
"""

from __future__ import annotations

from nasviz.models.cell_network import CellNetwork, Stem
from nasviz.models.cells import SearchCell
from nasviz.models.operations import Norms
from nasviz.models.spaces import cell_space

__all__ = ["Darts"]


class Darts(CellNetwork):
    """Cells whose 14 edges carry seven operations each, or those of another space, all of them summed.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of the image.
        channels: C of the first cell.
        cells: How many cells.
        stem: "cifar" or "imagenet".
        affine_pools: Whether the norms behind pooling have variables, so that pooling can go too.
        space: What the edges carry: `full`, the seven of DARTS, or `s1`, `s2`, `s4` (`nasviz.models.spaces`).
        none: Whether they carry `none` besides, as in DARTS; it takes its share of a softmax, and adds zeros.
        norms: The form of all norms; it comes before `affine_pools`.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        channels: int = 24,
        cells: int = 8,
        stem: Stem = "cifar",
        affine_pools: bool = False,
        space: str = "full",
        none: bool = False,
        norms: Norms | None = None,
    ) -> None:
        chosen = norms or Norms(pools="affine" if affine_pools else "fixed")
        found = cell_space(space, none=none)
        super().__init__(
            lambda place: SearchCell(place, found.edges(place.is_reduction), norms=chosen),
            channels,
            cells,
            stem,
            num_classes,
            in_channels,
        )
