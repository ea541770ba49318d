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

from dataclasses import dataclass

from nasviz.errors import UnknownNameError
from nasviz.models.cell_network import CellNetwork, Stem
from nasviz.models.cells import SearchCell, edges_of
from nasviz.models.operations import DARTS_OPERATIONS, Norms

__all__ = ["SPACES", "CellSpace", "Darts", "cell_space"]


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
            (`SPACES`).
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


NUM_EDGES = len(edges_of(4))
Edges = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class CellSpace:
    """Operations of each of the 14 edges, in the order of `edges_of(4)`, for both types of cells."""

    normal: Edges
    reduce: Edges

    def edges(self, is_reduction: bool) -> Edges:
        """Return the operations of one type of cell."""
        return self.reduce if is_reduction else self.normal

    def with_none(self) -> CellSpace:
        """Return the space with `none` on every edge, as searched by DARTS."""
        normal, reduce = (tuple(("none", *names) for names in edges) for edges in (self.normal, self.reduce))
        return CellSpace(normal, reduce)


def _on_every_edge(*names: str) -> CellSpace:
    return CellSpace((names,) * NUM_EDGES, (names,) * NUM_EDGES)


_SKIP, _MAX, _AVG = "skip_connect", "max_pool_3x3", "avg_pool_3x3"
_SEP3, _DIL3, _DIL5 = "sep_conv_3x3", "dil_conv_3x3", "dil_conv_5x5"

_S1 = CellSpace(
    normal=(
        *((_SKIP, _DIL3), (_SKIP, _DIL5)),
        *((_SKIP, _DIL5), (_SKIP, _SEP3), (_SKIP, _DIL3)),
        *((_MAX, _SKIP), (_SKIP, _SEP3), (_SKIP, _SEP3), (_SKIP, _DIL3)),
        *((_SKIP, _SEP3), (_MAX, _SKIP), (_SKIP, _DIL3), (_DIL3, _DIL5), (_DIL3, _DIL5)),
    ),
    reduce=(
        *((_MAX, _AVG), (_MAX, _DIL3)),
        *((_MAX, _AVG), (_MAX, _AVG), (_SKIP, _DIL5)),
        *((_MAX, _AVG), (_MAX, _SEP3), (_SKIP, _DIL3), (_SKIP, _DIL5)),
        *((_MAX, _AVG), (_MAX, _AVG), (_SKIP, _DIL5), (_SKIP, _DIL5), (_SKIP, _DIL5)),
    ),
)

SPACES: dict[str, CellSpace] = {
    "full": _on_every_edge(*DARTS_OPERATIONS),
    "s1": _S1,
    "s2": _on_every_edge(_SKIP, _SEP3),
    "s4": _on_every_edge("noise", _SEP3),
}
"""Spaces by name. In S1 an edge carries the two operations that iteratively pruned DARTS ranked best."""


def cell_space(name: str, *, none: bool = False) -> CellSpace:
    """Return a space by name.

    Raises:
        UnknownNameError: No space has this name.

    Examples:
        >>> len(cell_space("s1").normal), cell_space("s2", none=True).reduce[0]
        (14, ('none', 'skip_connect', 'sep_conv_3x3'))
    """
    if name not in SPACES:
        raise UnknownNameError(f"no cell space {name!r}; choose one of {', '.join(SPACES)}")
    return SPACES[name].with_none() if none else SPACES[name]
