"""Which optimizer works for a search space, so that construction can tell how far training has come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from nasviz.graph.space import SearchSpace

__all__ = ["SpaceOptimizer", "optimizer_of", "register_optimizer"]


class SpaceOptimizer(Protocol):
    """What is asked of an optimizer over a search space."""

    space: SearchSpace

    @property
    def phase(self) -> str:
        """`warm-up`, `projection`, `search` or `training`."""

    @property
    def selected(self) -> Sequence[int]:
        """The structures chosen to go."""


_OPTIMIZERS: WeakValueDictionary[int, SpaceOptimizer] = WeakValueDictionary()
"""By the id of the space, which lives as long as the optimizer: that refers to it."""


def register_optimizer(space: SearchSpace, optimizer: SpaceOptimizer) -> None:
    """Note that `optimizer` works for `space`; the last one counts. Neither is kept alive by this."""
    optimizer.space = space
    _OPTIMIZERS[id(space)] = optimizer


def optimizer_of(space: SearchSpace) -> SpaceOptimizer | None:
    """Return the optimizer that works for this very space, if it is still in use."""
    found = _OPTIMIZERS.get(id(space))
    return found if found is not None and found.space is space else None
