"""Training: the loop, exact checkpoints, evaluation, and the worker that carries a run out.

The names are resolved on first use: the worker takes its run's lock before torch is loaded.
"""

from importlib import import_module
from typing import Any

__all__ = ["Progress", "Session", "evaluate", "execute", "open_session", "train", "work"]

_HOMES = {
    "Progress": "nasviz.train.progress",
    "Session": "nasviz.train.session",
    "evaluate": "nasviz.train.evaluation",
    "execute": "nasviz.train.execution",
    "open_session": "nasviz.train.session",
    "train": "nasviz.train.loop",
    "work": "nasviz.train.worker",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nasviz.train' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
