"""Records of a run: rows per step, vectors of scores, norms and cosines, evaluations and events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, SupportsFloat

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO_VECTORS", "STEP_TYPE", "Evaluation", "Event", "StepRecord", "Tail", "Vectors", "could_go"]

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
"""Row of a step, in the order of the columns of the database."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """Record of one optimizer step.

    `loss`, `accuracy` and `zero_groups` may be device tensors: the writer reads them back once per flush.
    """

    step: int
    epoch: int
    phase: str
    """Phase at the beginning of the step: "warm-up", "projection" or "training"."""
    loss: SupportsFloat
    """Loss of the batch, before the step."""
    accuracy: SupportsFloat
    """Accuracy on the batch, before the step."""
    lr: float
    seconds: float = float("nan")
    """Seconds since the previous step."""
    examples_per_second: float = float("nan")
    memory_mb: float = float("nan")
    """Peak memory in MiB, of the accelerator if there is one, else of the process."""
    zero_groups: SupportsFloat = 0
    """Number of removal structures that are entirely zero after the step."""


def could_go(pruning: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the row of the largest threshold at which more would have gone at no loss of accuracy, or None.

    Args:
        pruning: What a search by a penalty reported of its end.

    Examples:
        >>> rows = [{"threshold": t, "pruned": n, "accuracy": 0.9} for t, n in ((1e-6, 0), (1e-3, 56))]
        >>> could_go({"accuracy": 0.9, "thresholds": rows})["pruned"]
        56
    """
    if not pruning or pruning.get("kind") or not pruning["thresholds"]:
        return None
    rows = pruning["thresholds"]
    chosen = pruning.get("chosen", rows[0])
    better = [r for r in rows if r["pruned"] > chosen["pruned"] and r["accuracy"] >= chosen["accuracy"]]
    return better[-1] if better else None


assert tuple(field.name for field in fields(StepRecord)) == STEP_TYPE.names


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Loss and accuracy on the validation images."""

    step: int
    """Index of the last step before the evaluation."""
    epoch: int
    network: str
    """"full" for the network in training, "subnet" for the sub-network constructed from it."""
    loss: float
    accuracy: float
    num_examples: int


@dataclass(frozen=True, slots=True)
class Event:
    """A notable event, described in a sentence."""

    step: int
    kind: str
    text: str
    structure: int | None = None
    """Id of the removal structure concerned."""


class Vectors(NamedTuple):
    """One number per removal structure, at a subset of the steps."""

    steps: NDArray[np.int64]
    values: NDArray[np.float32]
    """Shape `(num_steps, num_structures)`; NaN if a structure was not measured."""
    structures: tuple[int, ...]
    """Structure ids of the columns."""


NO_VECTORS = Vectors(np.empty(0, np.int64), np.empty((0, 0), np.float32), ())


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """Everything that a run has recorded after a given step. Compares by identity.

    Evaluations and events are few and always complete: replace them. Rows and vectors are to be appended.
    """

    steps: np.recarray[tuple[int], np.dtype[np.void]]
    """Rows of `STEP_TYPE`, ascending: `tail.steps.loss` is a column."""
    scores: Vectors
    norms: Vectors
    evaluations: tuple[Evaluation, ...]
    events: tuple[Event, ...]
    last_step: int
    """Last recorded step, the `after_step` of the next read."""
    total_steps: int | None
    """Number of steps that the run will take; None before it has started."""
    facts: Mapping[str, Any]
    """Facts about the whole run: lengths of the phases, K, number of structures."""
    cosines: Vectors = NO_VECTORS
    """Cosine between weights and gradient of each structure; empty for runs of earlier versions."""
