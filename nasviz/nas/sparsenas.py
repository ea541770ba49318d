"""SparseNAS, bi-level: the iteration of DARTS, whose architecture moves by HAPG towards exact zeros.

The switches are plain numbers, not a softmax: a node is the weighted sum of all that comes into it, and all
its incoming weights form one group of a sparse group lasso (Wu et al., 2021, equations (1), (3), (11)-(13)).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nasviz.errors import InvalidSettingError
from nasviz.graph import SearchSpace, by_node
from nasviz.graph.cells.genotypes import Derivation, erase_what_can
from nasviz.nas.architecture import Derived
from nasviz.nas.methods import DARTS
from nasviz.nas.update_steps import Loss, Step
from nasviz.optim.hapg import HAPG, AdamHAPG, pathwise
from nasviz.optim.search_optimizer import Conclusion, Trial, not_negative, positive_steps
from nasviz.switches import set_switches_, settle_switches, switch_values
from nasviz.trace import TracedNetwork

__all__ = ["SparseNAS", "Sparsity", "derived_sparse", "sparse_architecture"]


class Sparsity(NamedTuple):
    """What is zero at the proximal point. Tied operations count once."""

    zero_paths: int
    num_paths: int
    zero_nodes: int
    num_nodes: int


def sparse_architecture(
    net: nn.Module,
    space: SearchSpace,
    *,
    strength: float = 0.0,
    alpha: float = 0.5,
    architecture_lr: float = 0.01,
    is_adaptive: bool = True,
    inertia_cap: float = 0.9,
) -> HAPG:
    """HAPG on the plain switches of a network, one group for all that comes into a node.

    Raises:
        InvalidSettingError: There are no switches, or they are weighed by a softmax.
    """
    if not space.switches or any(switch.index is not None for switch in space.switches):
        raise InvalidSettingError("SparseNAS needs plain switches: add_switches(net, space, kind='plain')")
    nodes = [
        tuple(dict.fromkeys(s.parameter for s in members)) for members in by_node(space.switches).values()
    ]
    names = dict.fromkeys(name for node in nodes for name in node)
    found = {name: net.get_parameter(name) for name in names}
    tensors = {name: tensor for name, tensor in found.items() if tensor.requires_grad}  # the rest is frozen
    if not tensors:
        raise InvalidSettingError("all switches are frozen; let one of them require gradients")
    members = [[tensors[n] for n in node if n in tensors] for node in dict.fromkeys(nodes)]
    groups = {i: own for i, own in enumerate(members) if own}
    kind = AdamHAPG if is_adaptive else HAPG
    return kind(
        tensors.values(), groups, lr=architecture_lr, strength=strength, alpha=alpha, inertia_cap=inertia_cap
    )


class SparseNAS(DARTS):
    """The search with a penalty that rises evenly from 0, epoch by epoch (SparseNAS, "Effect of lambda").

    Once every node is zero, it rises no more: nothing is left that it could silence.

    Args:
        net: The network, whose parameters are moved.
        inner: Optimizer of all weights.
        architecture: HAPG on the switches, as `sparse_architecture` makes it.
        penalty_step: By how much lambda rises with each epoch of the search.
        penalty_cap: What it does not pass.
        steps_per_epoch: Length of an epoch.
        **settings: Those of `DARTS`.
    """

    def __init__(
        self,
        net: nn.Module,
        inner: Optimizer,
        architecture: HAPG,
        *,
        penalty_step: float = 0.01,
        penalty_cap: float = 1.0,
        steps_per_epoch: int = 1,
        **settings: Any,
    ) -> None:
        self.penalty_step = not_negative("penalty_step", penalty_step)
        self.penalty_cap = not_negative("penalty_cap", penalty_cap)
        self.steps_per_epoch = positive_steps("steps_per_epoch", steps_per_epoch)
        self.sparse = architecture
        super().__init__(net, inner, architecture, **settings)

    @property
    @torch.no_grad()
    def sparsity(self) -> Sparsity:
        """Zeros of the proximal point; the host waits for the device."""
        point, grouping = self.sparse.proximal_point(), self.sparse.grouping
        zero_nodes = int((grouping.norm(point) == 0).sum())
        return Sparsity(int(self.num_zero), len(point), zero_nodes, len(grouping))

    @property
    @torch.no_grad()
    def num_zero(self) -> Tensor:  # type: ignore[override]  # on the device, for a record at every step
        """How many paths are zero at the proximal point, on the device."""
        return torch.stack([(tensor == 0).all() for tensor in self.sparse.proximal_point()]).sum()

    def end_search(self, trial: Trial) -> None:
        """End with the exact zeros of the proximal point."""
        self.sparse.settle_()

    def derive(self, network: Any, space: SearchSpace) -> Derived:
        """Return the network with all operations whose switch is not zero."""
        return derived_sparse(network, space, self)

    def conclude(self, network: Any, space: SearchSpace) -> Conclusion:
        """Derive the network; the report counts the zeros of the proximal point."""
        found = super().conclude(network, space)
        return replace(found, report={**found.report, "sparsity": self.sparsity._asdict()})

    def _iteration(self, train: Loss, validation: Loss) -> Iterator[Step]:
        since = self.num_steps - self.warmup_steps
        if since % self.steps_per_epoch == 0 and self.sparsity.zero_nodes < len(self.sparse.grouping):
            strength = pathwise(since // self.steps_per_epoch, self.penalty_step, self.penalty_cap)
            for group in self.sparse.param_groups:
                group["strength"] = strength
        return super()._iteration(train, validation)


def derived_sparse(net: TracedNetwork, space: SearchSpace, search: SparseNAS) -> Derived:
    """What a search has left: all operations whose switch is not zero, at the values of their switches.

    The switches of `net` are set to the proximal point, where the exact zeros are. An operation that would
    have to go, but without which an output is cut off, comes back with a switch of 1.
    """
    search.sparse.settle_()
    network, settled = settle_switches(net, space)
    values = switch_values(network, settled.switches).tolist()
    goes = [s for s, value in zip(settled.switches, values, strict=True) if value == 0]
    erased, spared = erase_what_can(settled, goes)
    set_switches_(network, settled, {s.vertex: 1.0 for s in goes if s.structure in spared})
    gone = {s.vertex for s in goes}
    kept = tuple(s for s in settled.switches if s.vertex not in gone)
    return Derived(network, settled, Derivation(kept, erased, spared))
