"""What the methods on networks share: weights and architecture parameters, each with an optimizer of its own.

Unlike other optimizers these take two losses a step, and compute gradients themselves, because they need them
at several points.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from nasviz.errors import CheckpointError, InvalidSettingError
from nasviz.graph import SearchSpace
from nasviz.nas.architecture import (
    Architecture,
    Derived,
    construct_derived,
    decidedness,
    derived_network,
)
from nasviz.nas.bilevel import Lookahead
from nasviz.nas.functional_weights import Copy, FunctionalWeights
from nasviz.nas.update_steps import Loss, Step, UpdateStep, gradient
from nasviz.optim.groups import tensors_of
from nasviz.optim.search_optimizer import Batch, Conclusion, SearchOptimizer, check_asked

__all__ = ["ARCHITECTURE_CLIP", "RelaxedOptimizer", "architecture_adam"]

ARCHITECTURE_CLIP = 10.0
"""Longest gradient of the architecture parameters (public code of DARTS)."""


def architecture_adam(
    alphas: Iterable[Tensor], *, lr: float = 3e-4, weight_decay: float = 1e-3
) -> torch.optim.Adam:
    """The optimizer of architecture parameters in DARTS, MiLeNAS and RARTS."""
    return torch.optim.Adam(alphas, lr=lr, betas=(0.5, 0.999), weight_decay=weight_decay)


class _Loss:
    """The loss of one batch, as often as a method asks for it."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.accuracy: Tensor | None = None
        """Share of right answers when it was last computed."""

    def __call__(self) -> Tensor:
        loss, self.accuracy = self._batch.loss()
        return loss


class RelaxedOptimizer(SearchOptimizer):
    """Trains weights and architecture parameters by turns; see the methods for their order.

    `param_groups`, `state` and `defaults` are those of `inner`, so that schedules act on the weights alone.

    Args:
        net: The network, whose parameters are moved.
        inner: Optimizer of all weights; for RARTS those of the primary network.
        architecture: Optimizer of the architecture parameters, whatever its rule.
        reading: The architecture parameters as weights of structures, for whoever watches.
        warmup_steps: Steps at the start in which the architecture stays.
        clip: Longest gradient of the weights; infinite for no limit.

    Raises:
        InvalidSettingError: There is nothing to search, or a tensor is none of the network's.
    """

    derives = True
    reported = "w"
    """The move whose loss a step returns."""
    edges_per_node = 2
    """How many edges each node keeps in the derived network; 0 for all."""

    def __init__(
        self,
        net: nn.Module,
        inner: Optimizer,
        architecture: Optimizer,
        *,
        reading: Architecture | None = None,
        warmup_steps: int = 0,
        clip: float = 5.0,
    ) -> None:
        if warmup_steps < 0 or not clip > 0:
            raise InvalidSettingError(
                f"warmup_steps={warmup_steps}, clip={clip}: the first must be at least 0, the second above 0"
            )
        self.inner, self.architecture, self.reading = inner, architecture, reading
        self.warmup_steps, self.clip = warmup_steps, clip
        self.num_steps = 0
        # What requires no gradients is frozen: it is neither differentiated nor moved.
        self.weights, self.alphas = (
            [tensor for tensor in tensors_of(optimizer) if tensor.requires_grad]
            for optimizer in (inner, architecture)
        )
        if not self.alphas or not self.weights:
            raise InvalidSettingError(
                "there are no weights or no architecture parameters that require gradients; add switches"
                " first, and leave some of both trainable"
            )
        self._functional = self._evaluator(net)
        self._variables: dict[str, Sequence[Tensor]] = {"w": self.weights, "alpha": self.alphas}
        self._is_sharing = False
        super().__init__(inner.param_groups, inner.defaults)
        self._share()

    @property
    def base(self) -> Optimizer:
        """The optimizer of the weights."""
        return self.inner

    @property
    def phase(self) -> str:
        """`warm-up` as long as the architecture stays, then `search`."""
        return "warm-up" if self.num_steps < self.warmup_steps else "search"

    @property
    def structure_ids(self) -> tuple[int, ...]:
        """Ids of the structures that are weighed; empty without a `reading`."""
        return () if self.reading is None else self.reading.structure_ids

    @property
    def score_vector(self) -> Tensor | None:
        """The weight of each of them now, on the device; `None` without a `reading`."""
        return None if self.reading is None else self.reading.by_structure()

    def aim(self, num_selected: int) -> str:
        """Return how many operations are weighed."""
        return f"{len(self.space.switches)} operations to be weighed"

    def vectors(self, phase: str) -> dict[str, Tensor]:
        """Return the weights of the operations."""
        weights = self.score_vector
        return {} if weights is None else {"scores": weights}

    def train_step(self, batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
        """Take one iteration; loss and accuracy are of the batch that the network's weights learn from."""
        train, validation = (_Loss(batch) for batch in batches)
        own = validation if self.reported == "u" else train  # RARTS: u learns from the second half
        found: list[Tensor] = []

        def hear(move: UpdateStep) -> None:
            if move.variable == self.reported and own.accuracy is not None:
                found.append(own.accuracy)

        loss = self.step(train, validation, hear)
        return loss.detach(), found[0]

    def conclude(self, network: Any, space: SearchSpace) -> Conclusion:
        """Derive the network that the architecture parameters stand for."""
        weights = self.scores
        shares = [] if self.reading is None else self.reading.weights().tolist()
        decided = decidedness(space, shares) if shares else None
        derived = self.derive(network, space)
        found, names = derived.derivation, {s.structure: s.name for s in derived.space.switches}
        events: list[tuple[str, str, int | None]] = [
            ("kept", f"{s.name} stays, with a weight of {weights[s.structure]:.3g}", s.structure)
            for s in found.kept
        ]
        events += [("redundant", f"{names[structure]} goes", structure) for structure in derived.erased]
        events += [
            ("kept", f"{names[structure]} was not chosen, and stays: {reason}", structure)
            for structure, reason in found.spared.items()
        ]
        report: dict[str, Any] = {
            "target_sparsity": len(derived.erased),
            "num_structures": len(derived.space.removable),
            "zeroed_by": dict.fromkeys(map(str, derived.erased), "derivation"),
            "zeroed_at": dict.fromkeys(map(str, derived.erased), self.num_steps - 1),
            "kept": [switch.name for switch in found.kept],
        }
        if decided is not None:
            report["decidedness"] = asdict(decided)
            kind = "phase" if decided.is_decided else "warning"
            words = "" if decided.is_decided else "the derived architecture is undecided: "
            events.append((kind, f"{words}{decided}", None))
        return Conclusion(
            derived.network,
            derived.space,
            derived.erased,
            report,
            tuple(events),
            lambda: construct_derived(derived),
        )

    def derive(self, network: Any, space: SearchSpace) -> Derived:
        """Return the network with every switch at 1 or 0, by the weights of now."""
        return derived_network(network, space, edges_per_node=self.edges_per_node)

    def step(  # type: ignore[override]  # two losses, not one that may be left out
        self,
        train: Callable[[], Tensor],
        validation: Callable[[], Tensor],
        on_move: Callable[[UpdateStep], None] = lambda move: None,
    ) -> Tensor:
        """One iteration of the method; the loss at the move called `reported`, before it.

        Args:
            train: Runs the network, as it stands, on a batch of the first half of the data (D_a).
            validation: The same for the second half (D_p).
            on_move: Called with each move, before it is made.
        """
        losses = self._functional.loss(train), self._functional.loss(validation)
        steps = self._warm_up(*losses) if self.phase == "warm-up" else self._iteration(*losses)
        loss = None
        for step in steps:
            if isinstance(step, UpdateStep):
                on_move(step)
                if step.variable == self.reported:
                    loss = step.loss
                self._make(step)
        self.num_steps += 1
        assert loss is not None
        return loss

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refused, but for what the inner optimizer has already."""
        if self._is_sharing:
            raise InvalidSettingError("give all weights to the inner optimizer before the search begins")
        super().add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """Plain types and tensors only; the weights of the network itself are the network's to save."""
        return {
            "class": type(self).__name__,
            "num_steps": self.num_steps,
            "asked": dict(self.asked),
            "inner": self.inner.state_dict(),
            "architecture": self.architecture.state_dict(),
            "copies": [
                {"weights": [w.detach() for w in copy.weights], "statistics": copy.statistics}
                for copy in self._copies()
            ],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken.

        Raises:
            CheckpointError: The state is that of another method.
        """
        if state_dict.get("class") != type(self).__name__:
            raise CheckpointError(
                f"this state was saved by {state_dict.get('class')!r} and cannot be loaded into"
                f" {type(self).__name__}"
            )
        check_asked(state_dict.get("asked", {}), self.asked)
        self.num_steps = state_dict["num_steps"]
        self.inner.load_state_dict(state_dict["inner"])
        self.architecture.load_state_dict(state_dict["architecture"])
        for copy, saved in zip(self._copies(), state_dict["copies"], strict=True):
            copy.load_(saved["weights"], saved["statistics"])
        self._share()

    def _evaluator(self, net: nn.Module) -> FunctionalWeights:
        """Return what evaluates the network at other weights and architecture parameters."""
        return FunctionalWeights(net, self.weights, self.alphas)

    @abstractmethod
    def _iteration(self, train: Loss, validation: Loss) -> Iterator[Step]:
        """The steps of one iteration."""

    def _warm_up(self, train: Loss, validation: Loss) -> Iterator[Step]:
        """The same without moving the architecture."""
        loss = train(self.weights, self.alphas)
        yield UpdateStep("w", gradient(loss, self.weights), loss.detach())

    def _lookahead(self) -> Lookahead:
        """Return the step that `inner` makes next, if that is SGD, and its plain gradient step otherwise."""
        group = self.inner.param_groups[0]
        if not isinstance(self.inner, SGD):
            return Lookahead(group["lr"])
        buffers = [self.inner.state[w].get("momentum_buffer") for w in self.weights]
        velocity = None if any(b is None for b in buffers) else tuple(buffers)
        return Lookahead(group["lr"], group["momentum"], group["weight_decay"], velocity)

    def _copies(self) -> Sequence[Copy]:
        """Weights besides those of the network."""
        return ()

    def _make(self, move: UpdateStep) -> None:
        """Move one variable along its gradient, with the optimizer that it belongs to."""
        moved = self._variables[move.variable]
        for tensor, grad in zip(moved, move.gradient, strict=True):
            tensor.grad = grad
        is_architecture = move.variable == "alpha"
        limit = ARCHITECTURE_CLIP if is_architecture else self.clip
        if limit < float("inf"):
            nn.utils.clip_grad_norm_(moved, limit)
        (self.architecture if is_architecture else self.inner).step()
        # What has no gradient stays: a later move of the same optimizer must not move this variable again.
        for tensor in moved:
            tensor.grad = None

    def _share(self) -> None:
        self.param_groups = self.inner.param_groups
        self.state = self.inner.state
        self.defaults = self.inner.defaults
        self._is_sharing = True
