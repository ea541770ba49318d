"""What a run records: a row per step, vectors of scores, norms and cosines, evaluations, events.

And what readers get.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, SupportsFloat

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO_VECTORS", "STEP_TYPE", "Evaluation", "Event", "StepRecord", "Tail", "Vectors"]

STEP_TYPE = np.dtype(
    [
        ("step", np.int64),
        ("epoch", np.int32),
        ("phase", "U16"),
        ("loss", np.float64),
        ("accuracy", np.float64),
        ("lr", np.float64),
        ("seconds", np.float64),
        ("examples_per_second", np.float64),
        ("memory_mb", np.float64),
        ("zero_groups", np.int32),
    ]
)
"""One row per step, in the order of the columns of the store."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One optimizer step.

    `loss`, `accuracy` and `zero_groups` may still lie on a device: the store reads them back once per flush.
    """

    step: int
    epoch: int
    phase: str
    """"warm-up", "projection" or "training", as the step began."""
    loss: SupportsFloat
    """Of the batch, before the step."""
    accuracy: SupportsFloat
    """Share of the batch that was right, before the step."""
    lr: float
    seconds: float = float("nan")
    """Since the step before."""
    examples_per_second: float = float("nan")
    memory_mb: float = float("nan")
    """Peak on the device, or of the process where there is none, in MiB."""
    zero_groups: SupportsFloat = 0
    """Removal structures that are entirely zero after the step."""


assert tuple(field.name for field in fields(StepRecord)) == STEP_TYPE.names


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Loss and accuracy on the validation images."""

    step: int
    """Steps done when it was made, less one: the index of the last of them."""
    epoch: int
    network: str
    """"full": the network in training; "subnet": the one constructed from it."""
    loss: float
    accuracy: float
    num_examples: int


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth a sentence."""

    step: int
    kind: str
    text: str
    structure: int | None = None
    """Id of the removal structure that it is about."""


class Vectors(NamedTuple):
    """One number per removal structure, at some of the steps."""

    steps: NDArray[np.int64]
    values: NDArray[np.float32]
    """Shape `(num_steps, num_structures)`; NaN where a structure was not measured."""
    structures: tuple[int, ...]
    """Structure ids of the columns."""


NO_VECTORS = Vectors(np.empty(0, np.int64), np.empty((0, 0), np.float32), ())


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """What a run has recorded past some step; equal to nothing but itself.

    Evaluations and events are few and are always complete: replace them. Rows and vectors are appended.
    """

    steps: np.recarray[tuple[int], np.dtype[np.void]]
    """Rows of `STEP_TYPE`, ascending: `tail.steps.loss` is a column."""
    scores: Vectors
    norms: Vectors
    evaluations: tuple[Evaluation, ...]
    events: tuple[Event, ...]
    last_step: int
    """Ask for what comes after this one next time."""
    total_steps: int | None
    """Steps that the run will take; None before it has started."""
    facts: Mapping[str, Any]
    """What the worker said about the whole run: lengths of the phases, K, number of structures."""
    cosines: Vectors = NO_VECTORS
    """Of the weights and the gradient of each structure, where a step begins; earlier versions kept none."""
