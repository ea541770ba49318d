"""An optimizer around a search optimizer: what is asked about structures is answered by that one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from nasviz.optim.group_optimizer import GroupOptimizer
from nasviz.optim.selecting import SelectingOptimizer

__all__ = ["Forwarding"]

_PHASES = ("warm-up", "projection", "training")


class Forwarding(GroupOptimizer):
    """Everything that a search optimizer tells about its structures."""

    takes_group_optimizers = True
    inner: SelectingOptimizer

    def __init__(self, inner: SelectingOptimizer, tensors: Iterable[Tensor]) -> None:
        super().__init__(inner, tensors)

    @property
    def slim_phase(self) -> str:
        """The phase of what is done besides."""
        raise NotImplementedError

    @property
    def phase(self) -> str:
        """The earlier of both phases."""
        return min(self.inner.phase, self.slim_phase, key=_PHASES.index)

    @property
    def structure_ids(self) -> tuple[int, ...]:
        """The structures, in the order of `norm_vector`."""
        return self.inner.structure_ids

    @property
    def selected(self) -> tuple[int, ...]:
        """The structures chosen as redundant."""
        return self.inner.selected

    @property
    def orphaned(self) -> tuple[int, ...]:
        """The structures that go with the selected ones."""
        return self.inner.orphaned

    @property
    def is_valid(self) -> bool | None:
        """Whether the network stays connected without what is selected."""
        return self.inner.is_valid

    @property
    def scores(self) -> dict[int, float]:
        """Averaged score of each structure."""
        return self.inner.scores

    @property
    def score_vector(self) -> Tensor | None:
        """Averaged scores of the structures, on the device."""
        return self.inner.score_vector

    @property
    def zeroed_by(self) -> dict[int, str]:
        """What made each structure zero that is so for good."""
        return self.inner.zeroed_by

    @property
    def zeroed_at(self) -> dict[int, int]:
        """The step at which each structure of `zeroed_by` became zero."""
        return self.inner.zeroed_at

    @property
    def known_zero(self) -> frozenset[int]:
        """Those of `zeroed_by` that the host knows of already."""
        return self.inner.known_zero

    @property
    def num_zero(self) -> Tensor:
        """How many structures are zero for good, on the device."""
        return self.inner.num_zero

    def norm_vector(self) -> Tensor:
        """||x_g|| of each structure as it is now, on the device."""
        return self.inner.norm_vector()

    def cosine_vector(self) -> Tensor:
        """cos(x_g, grad f_g) of each structure before a step, on the device."""
        return self.inner.cosine_vector()

    def _own_state(self) -> dict[str, Any]:
        return {"search": self.inner.own_state()}

    def _check_own_state(self, own: dict[str, Any]) -> None:
        self.inner.check_own_state(own["search"])

    def _load_own_state(self, own: dict[str, Any]) -> None:
        self.inner.load_own_state(own["search"])
