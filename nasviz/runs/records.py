"""Records of a run: rows per step, vectors of scores, norms and cosines, evaluations and events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, SupportsFloat

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NO_VECTORS",
    "STEP_TYPE",
    "Evaluation",
    "Event",
    "StepRecord",
    "Tail",
    "Vectors",
    "column",
    "could_go",
    "has_penalty",
]

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
        ("penalty", np.float64),
    ]
)
"""Row of a step, in the order of the columns of the database."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """Record of one optimizer step.

    `loss`, `accuracy`, `zero_groups` and `penalty` may be device tensors: the writer reads them back once
    per flush.
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
    penalty: SupportsFloat = float("nan")
    """What the method adds to the loss, before the step; NaN if it adds nothing."""


def could_go(pruning: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the row of the largest threshold at which more would have gone at no loss of accuracy, or None.

    A threshold that disconnects the network does not count.

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
    better = [
        row
        for row in rows
        if row["pruned"] > chosen["pruned"]
        and row["accuracy"] >= chosen["accuracy"]
        and row.get("is_valid", True)
    ]
    return better[-1] if better else None


assert tuple(field.name for field in fields(StepRecord)) == STEP_TYPE.names


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Loss and metrics on the validation data."""

    step: int
    """Index of the last step before the evaluation."""
    epoch: int
    network: str
    """"full" for the network in training, "subnet" for the sub-network constructed from it."""
    loss: float
    accuracy: float
    """First metric of the run; its name is among the facts."""
    num_examples: int
    metrics: Mapping[str, float] | None = None
    """All metrics by name; None where accuracy alone is measured by an earlier version."""


@dataclass(frozen=True, slots=True)
class Event:
    """A notable event, described in a sentence."""

    step: int
    kind: str
    text: str
    structure: int | None = None
    """Id of the removal structure concerned."""


def column(steps: np.recarray[Any, Any], name: str) -> NDArray[np.float64]:
    """Return a column of the rows of steps as numbers; "objective" is loss and penalty together.

    Examples:
        >>> rows = np.zeros(1, STEP_TYPE).view(np.recarray)
        >>> rows.loss, rows.penalty = 0.5, 2.0
        >>> column(rows, "objective").tolist()
        [2.5]
    """
    found = steps["loss"] + steps["penalty"] if name == "objective" else steps[name]
    return np.asarray(found, np.float64)


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


def has_penalty(tail: Tail) -> bool:
    """Return whether the method of a run has added a penalty to the loss in any step."""
    return bool(np.isfinite(tail.steps["penalty"]).any())
