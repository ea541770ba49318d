"""Training never waits for the device: no step of any method in any phase reads a value back."""

from __future__ import annotations

import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nasviz.optim import waiting
from nasviz.settings import METHODS
from nasviz.train import Session, open_session, train
from tests.train.conftest import short_settings

READS = {"_local_scalar_dense", "nonzero", "equal", "masked_select", "_unique2", "unique_dim", "is_nonzero"}
"""Operators whose result, or its shape, the host has to know before it can go on."""
TORCHS_OWN = str(Path(torch.optim.__file__).parent)
"""Optimizers of torch count their steps in tensors on the CPU, whatever the device of the parameters."""

OWN = "nasviz"


class Reads(TorchDispatchMode):
    """Counts what would make the host wait for a CUDA device, by place in the code."""

    def __init__(self) -> None:
        super().__init__()
        self.places: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.partition("::")[2]
        is_mask = name in ("index", "index_put_") and any(
            isinstance(each, torch.Tensor) and each.dtype == torch.bool for each in args[1]
        )
        if name in READS or is_mask:
            frames = traceback.extract_stack(limit=8)[:-1]
            if not any(frame.filename.startswith(TORCHS_OWN) for frame in frames):
                places = (f"{frame.filename}:{frame.lineno}" for frame in frames if OWN in frame.filename)
                self.places[f"{name} at {', '.join(places)}"] += 1
        return func(*args, **(kwargs or {}))


def reads_of(session: Session) -> list[tuple[str, Counter[str]]]:
    """Return for each step its phase, and what it read."""
    found = []
    with Reads() as reads:
        for record in train(session):
            found.append((record.phase, reads.places))
            reads.places = Counter()
    return found


@pytest.mark.parametrize("method", [name for name in METHODS if name != "sidt"])  # as "rarts_width"
def test_no_step_waits_for_the_device(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "reads_at_once", lambda device: False)
    own = {"architecture_lr": 0.05, "warmup_steps": 2} if METHODS[method].has("architecture_lr") else {}
    found = reads_of(open_session(short_settings(optimizer=method, **own)))
    phases = [phase for phase, _ in found]
    assert len(phases) >= 10
    waits = {}
    for step in range(1, len(found) - 1):
        # Where a phase begins or ends, structures are chosen, pruned or counted.
        is_within = len(set(phases[step - 1 : step + 2])) == 1
        if is_within and (step + 1) % waiting.LOOK_STEPS and (places := found[step][1]):
            waits[step, phases[step]] = places
    assert not waits


def test_a_step_that_reads_a_value_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_session(short_settings())
    before = session.optimizer.train_step
    monkeypatch.setattr(
        session.optimizer, "train_step", lambda batches: (result := before(batches), float(result[0]))[0]
    )
    assert all(places for _, places in reads_of(session))
