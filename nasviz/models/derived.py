"""Networks built from a genotype, to train what a search has found at full size (DARTS, section 3.2).

| genotype | parameters | MACs |
| --- | --- | --- |
| DARTS_V2, CIFAR-10, C = 36, 20 cells, printed | 3.3 M | |
| the same, counted | 3,349,342 | 528,359,040 |
| DARTS_V2, ImageNet, C = 48, 14 cells, printed | 4.7 M | 574 M |
| the same, counted | 4,718,752 | 529,911,552 |

MACs are counted for convolutions and linear layers; the printed number includes others. Auxiliary heads learn
in training only, and are left out of these counts, as in the printed ones.
"""

from __future__ import annotations

from torch import nn

from nasviz.catalog.genotype import DARTS_V2, Genotype, read_genotype
from nasviz.errors import InvalidSettingError
from nasviz.models.cell_network import CellNetwork, Stem
from nasviz.models.cells import DerivedCell, edges_of
from nasviz.models.nas_bench_201 import NUM_NODES, NasBench201
from nasviz.models.recurrent import RecurrentStep

__all__ = ["DartsV2", "DerivedNetwork", "derived_network"]

PUBLISHED = {"darts": (36, 20), "nas_bench_201": (16, 5), "recurrent": (32, 0)}
"""Channels and cells for each kind of genotype; NAS-Bench-201 counts the cells of a stage."""


class DerivedNetwork(CellNetwork):
    """Cells with the operations of a genotype, for either stem.

    Args:
        genotype: What each type of cell computes.
        num_classes: Size of the output.
        in_channels: Channels of the image.
        channels: C of the first cell.
        cells: Number of cells.
        stem: "cifar" or "imagenet".
        auxiliary_size: Height and width of the image, for a network with an auxiliary head.
        drop_path: Probability with which training drops an operation.

    Shapes:
        `(N, in_channels, H, W)` to `(N, num_classes)`.
    """

    def __init__(
        self,
        genotype: Genotype,
        num_classes: int = 10,
        in_channels: int = 3,
        channels: int = 36,
        cells: int = 20,
        stem: Stem = "cifar",
        auxiliary_size: tuple[int, int] | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__(
            lambda config: DerivedCell(config, genotype, drop_path=drop_path),
            channels,
            cells,
            stem,
            num_classes,
            in_channels,
            auxiliary_size,
        )


class DartsV2(DerivedNetwork):
    """The network that second-order DARTS derived on CIFAR-10; see `DerivedNetwork`."""

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        channels: int = 36,
        cells: int = 20,
        stem: Stem = "cifar",
    ) -> None:
        super().__init__(DARTS_V2, num_classes, in_channels, channels, cells, stem)


def derived_network(
    num_classes: int,
    in_channels: int = 3,
    size: tuple[int, int] = (32, 32),
    genotype: str = "darts_v2",
    channels: int = 0,
    cells: int = 0,
    stem: Stem = "cifar",
    auxiliary: float = 0.0,
    drop_path: float = 0.0,
) -> nn.Module:
    """Return the network of a genotype.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of the image.
        size: Height and width of the image.
        genotype: As text; see `nasviz.catalog.genotype`.
        channels: C of the first cell, or width of the state of a recurrent cell; 0: as published.
        cells: Number of cells, of a stage for NAS-Bench-201; 0: as published.
        stem: "cifar" or "imagenet".
        auxiliary: Weight of the loss of an auxiliary head; 0: none.
        drop_path: Probability with which training drops an operation.

    Raises:
        InvalidSettingError: The genotype is malformed, or is not of cells that a setting applies to.

    Examples:
        >>> network = derived_network(10, channels=4, cells=3)
        >>> sum(p.numel() for p in network.parameters())
        2858
    """
    found = read_genotype(genotype)
    published = PUBLISHED[found.kind]
    channels, cells = channels or published[0], cells or published[1]
    if found.kind == "darts":
        wanted = size if auxiliary else None
        return DerivedNetwork(found, num_classes, in_channels, channels, cells, stem, wanted, drop_path)
    settings = {"stem": stem != "cifar", "auxiliary": auxiliary, "drop_path": drop_path}
    settings |= {"cells": cells} if found.kind == "recurrent" else {}
    if odd := [name for name, value in settings.items() if value]:
        raise InvalidSettingError(
            f"{', '.join(odd)}: only for genotypes of DARTS cells, and this one is of {found.kind}; leave out"
        )
    nodes = found.cells[0].nodes
    if found.kind == "recurrent":
        return RecurrentStep(num_classes, channels, genotype=found)
    edges = [
        [name for name, read in nodes[node] if read == state] or ["none"]
        for state, node in edges_of(NUM_NODES, num_inputs=1)
    ]
    return NasBench201(num_classes, in_channels, channels, cells, edges)
