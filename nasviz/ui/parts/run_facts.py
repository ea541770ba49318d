"""Facts about a run: title, state, settings in one line, search space."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from nasviz import jobs
from nasviz.draw.labels import settings_line
from nasviz.draw.run_space import read_space
from nasviz.errors import RunNotFoundError
from nasviz.graph import SearchSpace
from nasviz.runs import Run, RunSettings, RunSummary, Tail
from nasviz.runs.checking import check_run
from nasviz.runs.files import SEARCHED, SPACE, SUBNET, is_file
from nasviz.runs.records import Vectors
from nasviz.runs.tail import Follower
from nasviz.settings import SALIENCY, Vector
from nasviz.ui import session

__all__ = [
    "AT_WORK",
    "RESUMABLE",
    "badge",
    "current_on",
    "default_vector",
    "equality",
    "has_subnet",
    "have_same_label",
    "line",
    "obeys",
    "read",
    "require_intact",
    "scores_on",
    "searched_space_of",
    "space_of",
    "state_of",
    "title",
]

AT_WORK = ("starting", "running", "paused")
RESUMABLE = ("created", "cancelled", "crashed", "failed")

ROWS = 1500
"""Maximum number of steps read of a run, enough for any screen."""
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
    """Return the title of the network of a run."""
    return run.settings.network.title


def state_of(run: Run) -> str:
    """Return the state of a run; `starting` until its worker holds the lock."""
    return "starting" if jobs.is_starting(run) else run.state


def obeys(run: Run) -> bool:
    """Return whether a run hears requests: a watched loop does once it has asked for them."""
    return not run.settings.is_watched or read(run).facts.get("obeys") is True


def badge(state: str) -> str:
    """Return a state as a coloured Markdown badge."""
    return f":{COLOURS.get(state, 'gray')}-badge[{state}]"


def equality(tail: Tail) -> str | None:
    """Return the last check that all processes hold the same parameters; None for a single process."""
    checked = tail.facts.get("checked")
    if not isinstance(checked, Mapping):
        return None
    digest = str(checked.get("sha256", ""))[:12]
    return f"All processes held the same parameters at step {checked.get('step')} (SHA-256 {digest}…)."


def has_subnet(run: Run) -> bool:
    """Return whether a run has ended with a valid sub-network."""
    return run.end is not None and run.end.result.get("is_valid") is not False


def have_same_label(first: RunSettings, second: RunSettings) -> bool:
    """Return whether two runs have the same label in a legend."""
    names = ("target_sparsity", "method", "seed")
    return first.network.name == second.network.name and all(
        first.value(name) == second.value(name) for name in names
    )


def read(run: Run) -> Tail:
    """Return the record of a run, subsampled if it is long; shared by all sessions, so do not modify it."""
    return _follower(str(run.folder)).read()


@st.cache_resource(max_entries=16, show_spinner=False)
def _follower(folder: str) -> Follower:
    return Follower(Path(folder), ROWS)


def default_vector(settings: RunSettings) -> Vector:
    """Return the measure that the scores of a run hold."""
    declared = settings.method.vectors(settings.kept_edges)
    return next((vector for vector in declared if vector.table == "scores"), SALIENCY)


def current_on(space: SearchSpace) -> Run | None:
    """Return the current run if it searches exactly this space."""
    run_id = session.current().run_id
    if run_id is None:
        return None
    try:
        run = session.store().open(run_id)
    except RunNotFoundError:
        return None
    found = space_of(run)
    return run if found is not None and _same(found, space) else None


def scores_on(space: SearchSpace) -> tuple[Vectors | None, str]:
    """Return the scores of the current run on this space, if any, and their name."""
    run = current_on(space)
    return (None, "") if run is None else (read(run).scores, default_vector(run.settings).label)


def _same(one: SearchSpace, other: SearchSpace) -> bool:
    """Return whether both spaces number the same structures alike."""
    return [(s.id, s.vertices) for s in one.structures] == [(s.id, s.vertices) for s in other.structures]


def require_intact(run: Run) -> bool:
    """Check the files of a run that is done against their checksums; return whether it has any.

    Raises:
        DamagedFileError: A file has changed since the run ended; the message names it.
    """
    paths = [p for p in (*run.folder.iterdir(), *(run.folder / SUBNET).glob("*")) if not p.is_symlink()]
    states = tuple((p.name, s.st_mtime_ns, s.st_size) for p in sorted(paths) for s in [p.lstat()])
    return _checked(str(run.folder), states)


@st.cache_data(max_entries=64, show_spinner=False)
def _checked(folder: str, states: tuple[tuple[str, int, int], ...]) -> bool:
    return check_run(Path(folder))


def space_of(run: Run) -> SearchSpace | None:
    """Return the search space of a run; None until the worker has written it."""
    path = run.folder / SPACE
    return _read(str(path), path.lstat().st_mtime_ns) if is_file(path) else None


def searched_space_of(run: Run) -> SearchSpace | None:
    """Return the search space that the scores refer to; None until the worker has written it."""
    path = run.folder / SEARCHED
    return _read(str(path), path.lstat().st_mtime_ns) if is_file(path) else space_of(run)


@st.cache_resource(max_entries=8, show_spinner=False)
def _read(path: str, changed: int) -> SearchSpace:
    return read_space(Path(path))


def line(summary: RunSummary) -> str:
    """Describe a run in one line: network, settings and time."""
    settings = summary.settings
    if settings is None:
        return summary.id
    source = settings.network
    name = summary.labels.name or source.title
    when = time.strftime("%d %b %H:%M", time.localtime(summary.created))
    return f"{name} · {settings_line(settings)} · {when}"
