"""SparseNAS, bi-level: the iteration of DARTS, whose architecture moves by HAPG towards exact zeros.

The switches are plain numbers, not a softmax: a node is the weighted sum of all that comes into it, and all
its incoming weights form one group of a sparse group lasso (Wu et al., 2021, equations (1), (3), (11)-(13)).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nasviz.errors import DeadNetworkError, InvalidSettingError
from nasviz.graph import SearchSpace, by_node
from nasviz.graph.cells.genotypes import Derivation, erase_what_can
from nasviz.nas.architecture import Derived
from nasviz.nas.methods import DARTS
from nasviz.nas.update_steps import Loss, Step, UpdateStep, gradient
from nasviz.optim import waiting
from nasviz.optim.hapg import HAPG, AdamHAPG, pathwise
from nasviz.optim.search_optimizer import (
    Conclusion,
    News,
    Trial,
    below_one,
    not_negative,
    positive_steps,
)
from nasviz.settings import SparseNASSettings
from nasviz.switches import set_switches_, settle_switches, switch_values
from nasviz.trace import TracedNetwork

__all__ = ["SparseNAS", "Sparsity", "derived_sparse", "sparse_architecture"]


_DEFAULT = SparseNASSettings()


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
    alpha: float = _DEFAULT.balance,
    architecture_lr: float = _DEFAULT.architecture_lr,
    is_adaptive: bool = _DEFAULT.adaptive,
    inertia_cap: float = _DEFAULT.inertia_cap,
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

    With a target, the search ends when that share of the paths is zero at the proximal point, when its steps
    are done, or when lambda has cut the network apart: then with the last point that had not. If the share is
    not reached, the operations of smallest weight complete it. Zeros and switches are then held, and the
    weights train on both halves of the data without the penalty. Without a target the search lasts as long as
    the run, as published.

    Args:
        net: The network, whose parameters are moved.
        inner: Optimizer of all weights.
        architecture: HAPG on the switches, as `sparse_architecture` makes it.
        penalty_step: By how much lambda rises with each epoch of the search.
        penalty_cap: What it does not pass.
        steps_per_epoch: Length of an epoch.
        target_zeros: Share of the paths that shall become zero; 0 for no target.
        search_steps: Steps after the warm-up in which lambda rises at most; None: as long as the run.
        **settings: Those of `DARTS`.

    Raises:
        DeadNetworkError: In `step`, without a target: all paths to an output of the network are zero.
    """

    method = "sparsenas"
    tunes_by_batch = True

    def __init__(
        self,
        net: nn.Module,
        inner: Optimizer,
        architecture: HAPG,
        *,
        penalty_step: float = 0.01,
        penalty_cap: float = _DEFAULT.penalty_cap,
        steps_per_epoch: int = 1,
        target_zeros: float = 0.0,
        search_steps: int | None = None,
        **settings: Any,
    ) -> None:
        self.target_zeros = below_one("target_zeros", target_zeros)
        self.search_steps = search_steps
        self.ended_at: int | None = None
        """Step after which the search ended; None as long as it lasts."""
        self.history: list[tuple[int, float, int, int]] = []
        """Step, lambda, zero paths and zero nodes, whenever lambda or the zero nodes changed."""
        self._dead: frozenset[int] = frozenset()
        self._is_reported, self._reached = False, 0.0
        self.is_cut_short = False
        """Whether the search ended because lambda had silenced all paths."""
        self.by_weight = 0
        """Number of operations that the end of the search set to zero because the target was not reached."""
        self._connected: list[Tensor] = []
        """Last proximal point with a path to the outputs."""
        self.penalty_step = not_negative("penalty_step", penalty_step)
        self.penalty_cap = not_negative("penalty_cap", penalty_cap)
        self.steps_per_epoch = positive_steps("steps_per_epoch", steps_per_epoch)
        self.sparse, self._net = architecture, net
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

    @property
    def phase(self) -> str:
        """`warm-up`, `search`, and with a target `training` once the search has ended."""
        if self.ended_at is not None or (self.target_zeros and self.num_steps >= self._last_search_step):
            return "training"
        return super().phase

    @property
    def _last_search_step(self) -> float:
        return float("inf") if self.search_steps is None else self.warmup_steps + self.search_steps

    def end_search(self, trial: Trial) -> None:
        """End with the exact zeros of the proximal point, and say whether the target was reached."""
        if self._is_reported:
            return
        self.hold()
        self._is_reported = True
        found = self.sparsity
        words = (
            f"{found.zero_paths} of {found.num_paths} operations and {found.zero_nodes} of {found.num_nodes}"
            " nodes are zero"
        )
        if self.target_zeros:
            words += f", accuracy {trial.accuracy():.1%}"
        trial.tell("phase", f"the search ended: {words}")
        if self.by_weight:
            why = "lambda had silenced all paths to an output" if self.is_cut_short else "its steps were done"
            trial.tell(
                "warning",
                f"the penalty silenced {found.zero_paths - self.by_weight} operations when {why}; the"
                f" {self.by_weight} of smallest weight were set to zero to reach"
                f" target_zeros={self.target_zeros:g}: train more epochs to leave it to the penalty",
            )

    def hold(self) -> None:
        """End the search: the switches stay at the proximal point, and the penalty is gone; once."""
        if self.ended_at is None:
            self.ended_at, self._reached = self.num_steps, self.strength
            if self.target_zeros and self._connected and not self._has_path(self.sparse.proximal_point()):
                self._go_back()
            self.sparse.settle_()
            self._set_strength(0.0)
            self._complete()

    @torch.no_grad()
    def _complete(self) -> None:
        """Set the weakest operations to zero until the target is reached, where outputs stay connected."""
        tensors = list(self.sparse.grouping.tensors)
        missing = math.ceil(self.target_zeros * len(tensors) - 1e-9) - self.sparsity.zero_paths
        sizes = [float(tensor.abs().max()) for tensor in tensors]
        for place in sorted(range(len(tensors)), key=sizes.__getitem__):
            if self.by_weight >= missing:
                return
            silenced = self._silenced([t * (i != place) for i, t in enumerate(tensors)])
            if sizes[place] and self.space.connectivity.is_valid(silenced):
                tensors[place].zero_()
                self.sparse.state[tensors[place]]["prox"] = torch.zeros_like(tensors[place])
                self.by_weight += 1

    def news(self) -> News:
        """Return lambda and its zeros as often as they change, and which nodes have died."""
        is_over = self.ended_at is not None and self.num_steps > self.ended_at + 1
        is_unseen = self.ended_at is None and not self._looks
        if is_over or is_unseen or self.num_steps <= self.warmup_steps:
            return News()
        found = self.sparsity
        strength = self._reached if self.ended_at == self.num_steps else self.strength
        row = (self.num_steps - 1, strength, found.zero_paths, found.zero_nodes)
        if self.history and self.history[-1][1::2] == row[1::2]:
            return News()
        self.history.append(row)
        gone = self._zero_nodes()
        events = [
            (
                "warning",
                f"node {name} has died: lambda = {self.strength:g} has silenced all that it sums",
                None,
            )
            for place, name in enumerate(self._node_names())
            if place in gone - self._dead
        ]
        self._dead |= gone
        words = (
            f"lambda = {row[1]:g}: {row[2]} of {found.num_paths} operations, {row[3]} of {found.num_nodes}"
        )
        events.append(("penalty", f"{words} nodes are zero", None))
        return News(tuple(events), {"penalty": [list(entry) for entry in self.history]})

    def penalty(self) -> Tensor | None:
        """Return the sparse group lasso of the switches at the lambda of this step of the search."""
        if self.phase != "search":
            return None
        self._raise_strength()
        return self.sparse.penalty()

    @property
    def strength(self) -> float:
        """Lambda as it is now."""
        return float(self.sparse.param_groups[0]["strength"])

    def _set_strength(self, strength: float) -> None:
        for group in self.sparse.param_groups:
            group["strength"] = strength

    def _zero_nodes(self) -> frozenset[int]:
        """Return the places of the groups that are zero at the proximal point."""
        norms = self.sparse.grouping.norm(self.sparse.proximal_point()).tolist()
        return frozenset(place for place, norm in enumerate(norms) if norm == 0)

    def _node_names(self) -> list[str]:
        """Return the name of the joint of each group, in the order of the groups."""
        found: dict[tuple[str, ...], str] = {}
        for node, members in by_node(self.space.switches).items():
            found.setdefault(tuple(dict.fromkeys(s.parameter for s in members)), node)
        moved = {id(t) for t in self.alphas}
        trace, net = self.space.trace, self._net
        return [
            trace[node].name if node in trace else node
            for names, node in found.items()
            if any(id(net.get_parameter(name)) in moved for name in names)
        ]

    @property
    def _looks(self) -> bool:
        """Return whether zeros are read after this step."""
        return self.num_steps == self._last_search_step or waiting.looks_at(
            self.num_steps, self.sparse.grouping.device
        )

    @torch.no_grad()
    def _look(self) -> None:
        """End the search where the target is reached, or with a target where nothing more can go.

        Raises:
            DeadNetworkError: No path to an output is left, and there is no target.
        """
        found = self.sparsity
        point = self.sparse.proximal_point()
        if not found.zero_nodes or self._has_path(point):
            self._connected = [tensor.clone() for tensor in point]
            if self.target_zeros and found.zero_paths >= self.target_zeros * found.num_paths:
                self.hold()
        # HAPG's momentum carries a switch on for a step after its proximal point is zero: then it is dead.
        elif not self._has_path(self.sparse.grouping.tensors):
            if not self.target_zeros:
                raise DeadNetworkError(
                    f"the network died at step {self.num_steps - 1}: lambda = {self.strength:g} has silenced"
                    f" all paths to an output ({found.zero_paths} of {found.num_paths} operations are zero);"
                    " lower penalty_step, set target_zeros, or raise lr so that the weights learn sooner"
                )
            self._go_back()
            self.hold()

    def _go_back(self) -> None:
        """Return to the last proximal point with a path to the outputs."""
        self.is_cut_short = True
        for tensor, last in zip(self.sparse.grouping.tensors, self._connected, strict=True):
            self.sparse.state[tensor]["prox"].copy_(last)

    def _has_path(self, values: Sequence[Tensor]) -> bool:
        """Return whether all outputs are reached without the operations whose switch is zero in `values`."""
        space = self.space
        outputs = {space.segments.of(o.source).id for o in space.trace.outputs if o.is_required}
        return outputs.isdisjoint(space.connectivity.closure(self._silenced(values)))

    def _silenced(self, values: Sequence[Tensor]) -> set[int]:
        """Return the operations all of whose switches are zero in `values`."""
        zero = {id(t) for t, v in zip(self.sparse.grouping.tensors, values, strict=True) if not bool(v.any())}
        switches = self.space.switches
        alive = {s.structure for s in switches if id(self._net.get_parameter(s.parameter)) not in zero}
        return {s.structure for s in switches} - alive

    def step(self, train: Any, validation: Any, on_move: Any = lambda move: None) -> Tensor:  # type: ignore[override]
        """Take one iteration; after a step of the search, see what has become zero."""
        if self.phase == "training":
            self.hold()
        loss = super().step(train, validation, on_move)
        if self.num_steps == self.warmup_steps + 1:  # lambda is 0, so all paths are there, seen or not
            self._connected = [tensor.clone() for tensor in self.sparse.proximal_point()]
        if self.ended_at is None and self.num_steps > self.warmup_steps and self._looks:
            self._look()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Include where the search ended, and what was recorded of it."""
        own: dict[str, Any] = {
            "ended_at": self.ended_at,
            "is_reported": self._is_reported,
            "history": self.history,
        }
        own |= {"is_cut_short": self.is_cut_short, "connected": self._connected, "by_weight": self.by_weight}
        return super().state_dict() | own | {"dead": sorted(self._dead)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken.

        Raises:
            CheckpointError: The state is that of another method.
        """
        super().load_state_dict(state_dict)
        # Version 0.1 saved none of these, and searched to the end of the run.
        self.ended_at = state_dict.get("ended_at")
        self._is_reported = state_dict.get("is_reported", False)
        self.history = [tuple(row) for row in state_dict.get("history", ())]
        self._dead = frozenset(state_dict.get("dead", ()))
        self.is_cut_short, self.by_weight = (
            state_dict.get("is_cut_short", False),
            state_dict.get("by_weight", 0),
        )
        device = self.sparse.grouping.device
        self._connected = [tensor.to(device) for tensor in state_dict.get("connected", ())]

    def derive(self, network: Any, space: SearchSpace) -> Derived:
        """Return the network with all operations whose switch is not zero."""
        return derived_sparse(network, space, self)

    def conclude(self, network: Any, space: SearchSpace) -> Conclusion:
        """Derive the network; the report counts the zeros of the proximal point."""
        found = super().conclude(network, space)
        facts = {"target_zeros": self.target_zeros, "ended_at": self.ended_at, "by_weight": self.by_weight}
        return replace(found, report={**found.report, "sparsity": self.sparsity._asdict() | facts})

    def _iteration(self, train: Loss, validation: Loss) -> Iterator[Step]:
        if self.ended_at is not None:
            return self._train_on(train, validation)
        self._raise_strength()
        return super()._iteration(train, validation)

    def _raise_strength(self) -> None:
        """Set lambda where an epoch of the search begins."""
        since = self.num_steps - self.warmup_steps
        if since % self.steps_per_epoch == 0:
            epoch = since // self.steps_per_epoch
            self._set_strength(pathwise(epoch, self.penalty_step, self.penalty_cap))

    def _train_on(self, *losses: Loss) -> Iterator[Step]:
        """Move the weights by one half of the data after the other: the architecture needs none of them."""
        for half in losses:
            loss = half(self.weights, self.alphas)
            yield UpdateStep("w", gradient(loss, self.weights), loss.detach())


def derived_sparse(net: TracedNetwork, space: SearchSpace, search: SparseNAS) -> Derived:
    """Return what a search has left: the operations whose switch is not zero, at its value.

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
