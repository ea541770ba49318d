"""Super-network of DARTS (Liu et al., 2019) without architecture weights, as ASGNAS (2023) searches it.

| | parameters | MACs | structures |
| --- | --- | --- | --- |
| 8 cells, 32x32, printed | 4.05 M | 614 M | |
| the same with C = 24, counted | 4,083,058 | 600,002,304 | 464 |
| 14 cells, 224x224, C = 48, 1000 classes, counted | 25,532,896 | 2,835,022,080 | 800 |

C = 24 is not printed: it is the width that reproduces both numbers. With one variable per channel of every
norm, as in an exported network, parameters are 4.05 M; the printed MACs include norms. A FactorizedReduce
counts as one structure. Norms after convolutions have a scale and a shift, so that the output of an operation
is zero if its variables are.
"""

from __future__ import annotations

from nasviz.models.cell_network import CellNetwork, Stem
from nasviz.models.cells import SearchCell
from nasviz.models.operations import Norms
from nasviz.models.spaces import cell_space

__all__ = ["Darts"]


class Darts(CellNetwork):
    """Cells whose 14 edges sum seven operations each, or those of another space.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of the image.
        channels: C of the first cell.
        cells: Number of cells.
        stem: "cifar" or "imagenet".
        affine_pools: Whether norms after pooling have variables, so that pooling is removable too.
        space: Operations of the edges: `full`, the seven of DARTS, or `s1`, `s2`, `s4`
            (`nasviz.models.spaces`).
        none: Whether edges also carry `none`, as in DARTS; it takes its share of a softmax, and adds zeros.
        norms: Configuration of all norms; overrides `affine_pools`.
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
            lambda config: SearchCell(config, found.edges(config.is_reduction), norms=chosen),
            channels,
            cells,
            stem,
            num_classes,
            in_channels,
        )
