"""What is told of a run: its title, its state, its settings in one line, its search space."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from nasviz import jobs
from nasviz.catalog import OPTIMIZERS, data_title
from nasviz.graph import SearchSpace
from nasviz.runs import Run, RunSettings, Tail
from nasviz.runs.files import SPACE, read_json

__all__ = [
    "AT_WORK",
    "RESUMABLE",
    "badge",
    "describe",
    "equality",
    "has_subnet",
    "same_words",
    "space_of",
    "state_of",
    "title",
]

AT_WORK = ("starting", "running", "paused")
RESUMABLE = ("created", "cancelled", "crashed", "failed")

COLOURS = {
    "running": "green",
    "starting": "green",
    "paused": "orange",
    "done": "blue",
    "cancelled": "gray",
    "failed": "red",
    "crashed": "red",
    "created": "gray",
}


def title(run: Run) -> str:
    """The network's name, as people know it."""
    return run.settings.network.title


def state_of(run: Run) -> str:
    """Where it stands; `starting` while its worker is on the way to its lock."""
    return "starting" if jobs.is_starting(run) else run.state


def badge(state: str) -> str:
    """A state as a coloured word."""
    return f":{COLOURS.get(state, 'gray')}-badge[{state}]"


def describe(settings: RunSettings) -> str:
    """The settings that matter most, in one line of plain text."""
    k = settings.target_sparsity
    share = f"{k:.0%} of the structures" if isinstance(k, float) else f"K = {k}"
    slim = f"{settings.slim:.0%}" if isinstance(settings.slim, float) else str(settings.slim)
    collapsed = [f"{', '.join(settings.collapse)} collapsed"] if settings.collapse else []
    optimizer = OPTIMIZERS[settings.optimizer]
    parts = [
        *([share] if optimizer.has_target else []),
        *([f"{slim} of the channels"] if settings.slim else []),
        *collapsed,
        optimizer.title,
        data_title(settings.data),
        f"{settings.epochs} epochs" if settings.epochs > 1 else "1 epoch",
        f"seed {settings.seed}",
        *([f"{settings.processes} processes"] if settings.processes > 1 else []),
    ]
    return " · ".join(parts)


def equality(tail: Tail) -> str | None:
    """When the processes of a run were last found to hold the same parameters; None of a single process."""
    checked = tail.facts.get("checked")
    if not isinstance(checked, Mapping):
        return None
    digest = str(checked.get("sha256", ""))[:12]
    return f"All processes held the same parameters at step {checked.get('step')} (SHA-256 {digest}…)."


def has_subnet(run: Run) -> bool:
    """Whether a run that is done has left a network; one whose selection cuts the outputs off has not."""
    return run.end is not None and run.end.result.get("is_valid") is not False


def same_words(first: RunSettings, second: RunSettings) -> bool:
    """Whether two runs are told apart by nothing that a legend says."""
    names = ("target_sparsity", "optimizer", "seed")
    return first.network.name == second.network.name and all(
        getattr(first, name) == getattr(second, name) for name in names
    )


def space_of(run: Run) -> SearchSpace | None:
    """The search space of a run; None until its worker has written it."""
    path = run.folder / SPACE
    return _read(str(path), path.stat().st_mtime_ns) if path.exists() else None


@st.cache_resource(max_entries=8, show_spinner=False)
def _read(path: str, changed: int) -> SearchSpace:
    return SearchSpace.from_json(read_json(Path(path)))
