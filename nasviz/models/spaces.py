"""Operations on the edges of a DARTS cell: the space of DARTS, and three of RobustDARTS.

RobustDARTS (Zela et al., ICLR 2020, section 3) narrows the space until DARTS fails on it; GSparsity (2022,
table 4) searches S1, S2 and S4. S3 is S2 with `none`.
"""

from __future__ import annotations

from dataclasses import dataclass

from nasviz.errors import UnknownNameError
from nasviz.models.cells import edges_of
from nasviz.models.operations import DARTS_OPERATIONS

__all__ = ["SPACES", "CellSpace", "cell_space"]

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
