"""What every method promises: a run goes on from a checkpoint as if it had never stopped, to the bit."""

from __future__ import annotations

from pathlib import Path

import torch

from nasviz.runs import RunSettings, Store
from nasviz.train import open_session, train
from nasviz.train.checkpoint import restore, save
from nasviz.train.session import Session

__all__ = ["ended_straight_and_resumed"]


def ended_straight_and_resumed(settings: RunSettings, pause: int, folder: Path) -> tuple[Session, Session]:
    """Two ends of a run, one saved and opened anew after `pause` steps; their weights are equal."""
    straight = open_session(settings)
    for _ in train(straight):
        pass
    saved = Store(folder).create(settings).folder
    first = open_session(settings)
    steps = train(first)
    for _ in range(pause):
        next(steps)
    save(first, saved)
    steps.close()
    resumed = open_session(settings)
    assert restore(resumed, saved)
    for _ in train(resumed):
        pass
    wanted, found = straight.network.state_dict(), resumed.network.state_dict()
    assert wanted.keys() == found.keys()
    assert all(torch.equal(value, wanted[key]) for key, value in found.items())
    return straight, resumed
