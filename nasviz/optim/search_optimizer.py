"""The protocol of a search method towards training, records and construction, with defaults.

A method is an optimizer that can also say in which phase it is, take a whole training step, name the vectors
to record, end its search, and conclude what goes. Training asks nothing else, and never which method it is.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, distributed, nn
from torch.optim import Optimizer

from nasviz.errors import CheckpointError, InvalidSettingError, TrainingError
from nasviz.graph import SearchSpace, register_optimizer

__all__ = [
    "Batch",
    "Conclusion",
    "News",
    "SearchOptimizer",
    "Training",
    "Trial",
    "below_one",
    "check_asked",
    "most_narrowed",
    "most_of",
    "not_negative",
    "positive_share",
    "positive_steps",
    "require_whole",
]


def positive_steps(name: str, value: int) -> int:
    """`value`, if it is a number of steps, at least 1.

    Raises:
        InvalidSettingError: It is not.
    """
    if not isinstance(value, int) or value < 1:
        raise InvalidSettingError(f"{name}={value!r}: must be a number of steps, at least 1")
    return value


def below_one(name: str, value: float) -> float:
    """`value`, if it lies in [0, 1).

    Raises:
        InvalidSettingError: It does not.
    """
    if not 0 <= value < 1:
        raise InvalidSettingError(f"{name}={value!r}: must be at least 0 and below 1")
    return value


def not_negative(name: str, value: float) -> float:
    """`value`, if it is a finite number, at least 0.

    Raises:
        InvalidSettingError: It is not.
    """
    if not 0 <= value < float("inf"):
        raise InvalidSettingError(f"{name}={value!r}: must be a finite number, at least 0")
    return value


def positive_share(name: str, value: float) -> float:
    """`value`, if it lies in (0, 1].

    Raises:
        InvalidSettingError: It does not.
    """
    if not 0 < value <= 1:
        raise InvalidSettingError(f"{name}={value!r}: must be above 0 and at most 1")
    return value


def most_of(share: float, count: int) -> int:
    """Return how many of `count` a share is at most, but at least 1.

    Examples:
        >>> most_of(0.5, 7), most_of(0.1, 7), most_of(1.0, 7)
        (3, 1, 7)
    """
    return max(1, math.floor(share * count + 1e-9))


def require_whole(tensors: Iterable[Tensor], asker: str) -> None:
    """Check that this process holds all of every tensor.

    Raises:
        InvalidSettingError: One is a DTensor, as `fully_shard` (FSDP2) and tensor parallelism make them.
    """
    if not distributed.is_available() or not distributed.is_initialized():
        return  # without processes there is nothing to shard over
    from torch.distributed.tensor import DTensor

    for tensor in tensors:
        if isinstance(tensor, DTensor):
            raise InvalidSettingError(
                f"{asker} was asked to train parameters that are sharded over processes: one of shape"
                f" {tuple(tensor.shape)} is a DTensor on {tensor.device_mesh} with placements"
                f" {tensor.placements}. A structure is chosen, and set to zero, by whole tensors and rows of"
                " others, which no process holds then. Leave fully_shard out, and train in"
                " DistributedDataParallel (`nasviz train --nproc N`), whose processes hold whole parameters"
            )


Share = Callable[[Sequence[Tensor]], None]
"""Averages tensors in place over the processes that train together."""
Judge = Callable[[Any], tuple[Tensor, Tensor]]
"""Takes an output of the network; returns loss and accuracy."""


@dataclass(frozen=True)
class Training:
    """What a method is told of the run that it is built for."""

    steps_per_epoch: int = 1
    seed: int = 0
    cells: tuple[str, ...] = ()
    """Classes of the network's cells, where its document names them."""
    inputs: Callable[[], tuple[Any, ...]] = tuple
    """Returns arguments of the network on its device, to time operations with."""
    batches: Callable[[], list[tuple[Any, Any]]] = list
    """Returns pairs of input and labels on the device of the network, to score it before training."""
    loss: Any = None
    """Loss of the user, a function of output and labels; None for cross-entropy."""

    def generator(self) -> Generator:
        """Return a new generator, seeded as the run is."""
        return torch.Generator().manual_seed(self.seed)


class Batch(Protocol):
    """Examples of a step, and how the network is judged on them."""

    def loss(self, others: Sequence[Any] = ()) -> tuple[Tensor, Tensor]:
        """Run the network as it is now, on these examples and others; return loss and accuracy, scalars."""

    def joined(self, others: Sequence[Any]) -> tuple[tuple[Any, ...], Judge]:
        """Return arguments of the network for these examples and others, and how to judge its output."""

    def logits(self, output: Any) -> Tensor:
        """Return the class scores of the main head, `(N, classes)`."""


class Trial(Protocol):
    """The network in validation, and the record of the run, for the end of a search."""

    def accuracy(self) -> float:
        """Return the validation accuracy of the network as it is now, or another metric; larger is better."""

    def words(self, accuracy: float) -> str:
        """Return an accuracy with the name of the metric that it is."""

    def tell(self, kind: str, text: str, structure: int | None = None) -> None:
        """Record an event."""


@dataclass(frozen=True)
class News:
    """What a step has changed that belongs on record."""

    events: tuple[tuple[str, str, int | None], ...] = ()
    """Kind, text, and the structure that it is about."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Plain data that replace what was recorded under these names."""


@dataclass(frozen=True)
class Conclusion:
    """What a search has found: the structures that go, and from which network."""

    network: Any
    space: SearchSpace
    """Of `network`; another one than the search's where the network was derived from it."""
    erased: tuple[int, ...]
    report: Mapping[str, Any] = field(default_factory=dict)
    """Entries of the report, plain data."""
    events: tuple[tuple[str, str, int | None], ...] = ()
    """What to record: kind, text, and the structure that it is about."""
    construct: Callable[[], Any] | None = None
    """Makes the sub-network; None: that of `network` without `erased`."""


class SearchOptimizer(Optimizer, ABC):
    """An optimizer that searches: base of all methods, with defaults for what a method need not know.

    A subclass defines `phase` and `step`, and whatever of the rest differs.
    """

    space: SearchSpace
    """The search space it works for, where it was created for one."""
    method: str = ""
    """Name of its method in `nasviz.settings.METHODS`; empty if it is none of them."""
    num_steps: int = 0
    num_selections: int = 0
    """How many times structures were selected so far in this process."""
    pruning: dict[str, Any] | None = None
    """Accuracies before and after pruning, measured at the end of the search; saved with the state."""
    cuts_channels: bool = False
    """Whether channel groups go to zero, inside of the structures that stay."""
    derives: bool = False
    """Whether what stays is derived at the end, from parameters of the architecture."""
    judges: bool = False
    """Whether the end of its search measures the accuracy, for which a loop needs validation data."""
    tunes_by_batch: bool = False
    """Whether training after the search takes a step on each batch, not one on all of them."""
    distils: bool = False
    """Whether training after the search learns from the network before pruning; see `distilled`."""
    clip: float = float("inf")
    """Longest gradient of the weights."""
    asked: Mapping[str, Any] = {}
    """What it was created for, plain data; saved with the state, which fits no other."""

    @property
    @abstractmethod
    def phase(self) -> str:
        """Name of the phase of the next step: `warm-up`, `projection`, `search` or `training`."""

    @property
    def base(self) -> Optimizer | None:
        """The optimizer of the weights, which can train a sub-network on; None where there is none."""
        return None

    # ---- what it has decided ----

    @property
    def structure_ids(self) -> tuple[int, ...]:
        """The structures that its vectors are of, in their order."""
        return ()

    @property
    def selected(self) -> tuple[int, ...]:
        """The structures chosen to go."""
        return ()

    @property
    def orphaned(self) -> tuple[int, ...]:
        """The structures that go with the selected ones because nothing feeds them any more."""
        return ()

    @property
    def scores(self) -> dict[int, float]:
        """Score of each structure; empty where nothing is ranked."""
        vector = self.score_vector
        return {} if vector is None else dict(zip(self.structure_ids, vector.tolist(), strict=True))

    @property
    def score_vector(self) -> Tensor | None:
        """The same on the device, in the order of `structure_ids`; None where nothing is ranked."""
        return None

    @property
    def zeroed_by(self) -> dict[int, str]:
        """What made each structure zero that is zero for good."""
        return {}

    @property
    def zeroed_at(self) -> dict[int, int]:
        """The step (0-based) at which each structure of `zeroed_by` became zero."""
        return {}

    @property
    def known_zero(self) -> frozenset[int]:
        """Those of `zeroed_by` that are known without synchronizing with the device."""
        return frozenset(self.zeroed_by)

    @property
    def num_zero(self) -> Tensor | int:
        """How many structures are zero, on the device where it has to be computed."""
        return 0

    @property
    def channels(self) -> tuple[int, ...]:
        """The channel groups chosen to go."""
        return ()

    @property
    def channels_zeroed_by(self) -> dict[int, str]:
        """What made each channel group zero that is zero for good."""
        return {}

    @property
    def channels_zeroed_at(self) -> dict[int, int]:
        """The step (0-based) at which each of them became zero."""
        return {}

    def retarget(self, target_sparsity: int) -> None:
        """Remove another number of structures than was asked for, as long as the selection is not made.

        Raises:
            InvalidSettingError: The method has no such target, or has selected already.
            InvalidSparsityError: More than can go.
        """
        raise InvalidSettingError(f"{type(self).__name__} has no target sparsity that can be changed")

    # ---- training ----

    def serve(self, space: SearchSpace, trained: SearchSpace | None = None, **asked: Any) -> None:
        """Note the search space that this optimizer works for, and what was asked of it.

        Args:
            space: The space that the caller knows; `nasviz.construct` finds the optimizer by it.
            trained: The same with all that is not trained frozen.
            **asked: Further settings that a saved state must agree with.
        """
        known = self._trained = trained or space
        self.asked = {
            "network": known.trace.name,
            "parameters": known.trace.num_parameters,
            "protected structures": sorted(known.protected),
        } | asked
        register_optimizer(space, self)

    def share_scores(self, average_: Share) -> None:
        """Average over several processes whatever a selection is made by, once they train together.

        Args:
            average_: Averages tensors in place; must be called by all processes at the same step.
        """

    def train_step(self, batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
        """Take one step on as many batches as the method's `num_batches`; return loss and accuracy before it.

        Raises:
            TrainingError: The loss depends on no trained parameter.
        """
        (batch,) = batches
        self.zero_grad(set_to_none=True)
        loss, accuracy = batch.loss()
        if not loss.requires_grad:
            raise TrainingError(
                "the loss depends on no parameter that is trained, so there is nothing to learn; check that"
                " the network uses its parameters, and the loss its output"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        self.step()
        return loss.detach(), accuracy

    def penalty(self) -> Tensor | None:
        """Return what the method adds to the loss at the weights of now, on the device; None for nothing."""
        return None

    def distilled(self, batch: Batch, examples: tuple[Any, ...], output: Any) -> Tensor:
        """Return what training after the search adds to the loss of `output`; asked where it `distils`."""
        raise NotImplementedError

    def evaluating(self) -> AbstractContextManager[None]:
        """Return a context in which the network computes as the method means it to be evaluated now."""
        return nullcontext()

    # ---- records ----

    def aim(self, num_selected: int) -> str:
        """Return what the run is about to do, for its first event.

        Args:
            num_selected: Structures that the settings ask to remove.
        """
        return f"{num_selected} of {len(self.space.removable)} structures to be removed"

    def vectors(self, phase: str) -> dict[str, Tensor]:
        """Return what to record after a step of this phase, by table: "scores" or "norms"."""
        return {}

    def news(self) -> News:
        """Return what the last step has changed; called once after each step."""
        return News()

    def cosine_vector(self) -> Tensor | None:
        """Return cos(x_g, grad f_g) of each structure before a step, on the device; None to record none."""
        return None

    @property
    def measured(self) -> dict[str, Any]:
        """What was measured when it was built, plain data: recorded, and given back to a resumed run."""
        return {}

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Use what an earlier process of the same run had `measured`."""

    # ---- the end ----

    def end_search(self, trial: Trial) -> None:
        """End the search, once: judge what it found, and leave the network as the tuning shall find it.

        Called when the phase `training` begins, and again before the conclusion.
        """

    def conclude(self, network: nn.Module, space: SearchSpace) -> Conclusion:
        """Return what goes; called once, after the last step, with the network on the CPU."""
        erased = tuple(i for i in self.selected if i in self.zeroed_by)
        return Conclusion(network, space, erased)


def check_asked(saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Check that a saved state was saved for what this optimizer is for.

    What one of both does not know is not compared: earlier versions saved less.

    Raises:
        CheckpointError: It was saved for something else; the message names both values.

    Examples:
        >>> check_asked({"target_sparsity": 2}, {"target_sparsity": 3})
        Traceback (most recent call last):
        ...
        nasviz.errors.CheckpointError: this state was saved with target_sparsity=2, this optimizer has \
target_sparsity=3; create the optimizer as the saved one was, or start without the state
    """
    odd = [name for name in own if name in saved and saved[name] != own[name]]
    if odd:
        then, now = (", ".join(f"{name}={side[name]}" for name in odd) for side in (saved, own))
        raise CheckpointError(
            f"this state was saved with {then}, this optimizer has {now};"
            " create the optimizer as the saved one was, or start without the state"
        )


def most_narrowed(space: SearchSpace, channels: Sequence[int]) -> str:
    """Return the three operators that lose most of these channel groups, behind a comma; empty for none."""
    narrowed = space.channels.narrowed(channels)
    most = sorted(narrowed, key=lambda vertex: -len(narrowed[vertex]))[:3]
    if not most:
        return ""
    return ", most in " + ", ".join(f"{space.trace[v].name} ({len(narrowed[v])})" for v in most)
