"""What one visitor has before him: network, wishes, run. Kept apart from widgets, and in the address.

Streamlit forgets a widget when its page is left, so all that has to last is copied into one `Session`. The
address of every page names the network, what is protected and collapsed, and the run, so that it can be sent
to somebody else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.errors import NasvizError, RunNotFoundError, StorageError
from nasviz.graph import SearchSpace, search_space
from nasviz.graph.protection import protection
from nasviz.runs import Run, RunSettings, Store, SweepStore, UserImport
from nasviz.ui import work
from nasviz.ui.onnx_files import OnnxFile, shelf
from nasviz.ui.options import options
from nasviz.ui.words import inert, sentence

__all__ = [
    "Analysis",
    "Session",
    "Source",
    "Wishes",
    "adopt",
    "current",
    "forget_run",
    "is_new",
    "key_of",
    "open_network",
    "open_run",
    "protect",
    "require_analysis",
    "run",
    "space",
    "store",
    "summary",
    "sweeps",
    "title",
]

Source = NetworkSource | OnnxFile
"""Where the current network comes from; what comes from a file of ONNX can only be looked at."""

_KEY = "nasviz"
MOST_RECENT = 12
LONGEST_NUMBER = 20
"""Digits of a number that somebody else has written: Python refuses to read very long ones."""


@dataclass(frozen=True)
class Analysis:
    """A network that was traced, as data."""

    source: Source
    space: SearchSpace
    """Without anybody's wishes."""
    key: str
    """Stands for the trace in caches."""
    parity: Mapping[str, Any] = field(default_factory=dict)
    rung: str = ""
    warnings: tuple[str, ...] = ()
    changed_training: tuple[str, ...] = ()
    """In what training the traced network is not training the model."""
    free_axes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one visitor asks of a search space. Numbers of segments mean something for one `collapse` only."""

    collapse: tuple[str, ...] = ()
    protect: frozenset[int] = frozenset()
    marked: tuple[int, ...] = ()
    gates: tuple[int, ...] = ()


@dataclass
class Session:
    """One visitor's choices."""

    source: Source = field(default_factory=lambda: NetworkSource("demonet"))
    recent: tuple[Source, ...] = ()
    """What was open before in this visit, the latest first."""
    analysis: Analysis | None = None
    collapse: tuple[str, ...] = ()
    """Modules that count as one vertex each: classes, and patterns of paths."""
    protect: frozenset[int] = frozenset()
    """Structures that must stay."""
    agreed: set[NetworkSource | UserImport] = field(default_factory=set)
    """What this visitor has agreed to import, or to trace at an unusual size (see `nasviz.ui.consent`)."""
    run_id: str | None = None
    vertex: str | None = None
    """Chosen vertex of the trace graph."""
    linked: str | None = None
    """Vertex that the address of the visit asked for: the graphs go there until another one is chosen."""
    marked: tuple[int, ...] = ()
    """Structures whose going is being looked at."""
    gates: tuple[int, ...] = ()
    """Gates whose replacement is being looked at."""
    before: tuple[Wishes, ...] = ()
    """What was wished before modules were collapsed, or opened again; the latest last."""
    choices: dict[str, Any] = field(default_factory=dict)
    """Values of widgets that outlive their page, by the widget's key."""
    jobs: dict[str, jobs.Job] = field(default_factory=dict)
    notice: str | None = None
    """Told once, on top of the next page."""
    guarded: SearchSpace | None = None
    """The space with what is collapsed and protected, once it was asked for."""

    @property
    def wishes(self) -> Wishes:
        """What is asked of the search space now."""
        return Wishes(self.collapse, self.protect, self.marked, self.gates)

    @wishes.setter
    def wishes(self, value: Wishes) -> None:
        self.collapse, self.protect = value.collapse, value.protect
        self.marked, self.gates = value.marked, value.gates


def is_new() -> bool:
    """Whether this visit has just begun."""
    return _KEY not in st.session_state


def current() -> Session:
    """The session of this visitor."""
    if is_new():
        st.session_state[_KEY] = Session()
    found = st.session_state[_KEY]
    assert isinstance(found, Session)
    return found


def store() -> Store:
    """The runs of this server."""
    return Store(options().runs)


def sweeps() -> SweepStore:
    """The sweeps of this server."""
    return SweepStore(options().runs)


def open_network(source: Source, *, is_chosen: bool = False) -> None:
    """Make another network the current one; it is analysed when a page asks for it.

    Args:
        source: The network.
        is_chosen: This visitor has chosen its size in a form, so no page asks about it again.
    """
    state = current()
    if is_chosen and isinstance(source, NetworkSource) and not source.is_callable:
        state.agreed.add(source)
    if source == state.source and state.analysis is not None:
        return
    state.recent = tuple(dict.fromkeys((state.source, *state.recent)))[:MOST_RECENT]
    state.source, state.analysis = source, None
    entry = None if isinstance(source, OnnxFile) else source.entry
    state.wishes, state.before = Wishes(entry.collapse if entry else ()), ()
    state.vertex = state.linked = None
    state.run_id = None
    for name in [name for name in state.jobs if not name.startswith("export")]:
        state.jobs.pop(name).cancel()


def adopt(settings: RunSettings) -> None:
    """Make the network of a run the current one, with what the run collapses and protects."""
    open_network(settings.network)
    state = current()
    if state.collapse != settings.collapse:
        state.wishes, state.before = Wishes(settings.collapse), ()
    wishes = map(protection, settings.protect)
    state.protect = frozenset(wish for wish in wishes if isinstance(wish, int))


def open_run(run: Run) -> None:
    """Make a run the current one."""
    current().run_id = run.id


def forget_run(run_id: str) -> None:
    """Close a run, where it is the current one."""
    if current().run_id == run_id:
        current().run_id = None


def run() -> Run | None:
    """The current run; None, after saying so, where its folder is gone."""
    state = current()
    if state.run_id is None:
        return None
    try:
        return store().open(state.run_id)
    except (RunNotFoundError, StorageError) as error:
        st.warning(sentence(str(error)), icon=":material/folder_off:")
        state.run_id = None
        return None


def require_analysis() -> Analysis:
    """The current network, analysed. Until it is, the page shows how far it is and ends there."""
    state = current()
    if state.analysis is None:
        source = state.source
        doing = "Reading" if isinstance(source, OnnxFile) else "Tracing"
        result = work.require(
            f"analyze {source}", lambda: _analyze(source), f"{doing} {inert(source.name)}", cache=state.jobs
        )
        state.analysis = Analysis(
            source=source,
            space=SearchSpace.from_json(result["space"]),
            key=hashlib.sha256(json.dumps(result["space"]["trace"]).encode()).hexdigest(),
            parity=result["parity"],
            rung=result["rung"],
            warnings=tuple(result["warnings"]),
            changed_training=tuple(result["changed_training"]),
            free_axes=result["free_axes"],
            seconds=result["seconds"],
        )
    return state.analysis


def _analyze(source: Source) -> jobs.Job:
    if isinstance(source, OnnxFile):
        return jobs.view_onnx(shelf().path(source), name=source.name)
    return jobs.analyze(source)


def space() -> SearchSpace:
    """The search space of the current network, with what this visitor collapses and protects."""
    state, analysis = current(), require_analysis()
    try:
        return _wished(state, analysis.space)
    except NasvizError as error:
        # Only an address can ask for what the network does not have.
        st.warning(f"Opened without what the address asks for: {sentence(str(error))}")
        state.wishes, state.before = Wishes(), ()
        return _wished(state, analysis.space)


def _wished(state: Session, bare: SearchSpace) -> SearchSpace:
    """The space with the wishes of the moment; made anew only where they have changed."""
    protect, found = tuple(sorted(state.protect)), state.guarded
    if found is None or found.collapse != state.collapse or found.trace is not bare.trace:
        found = search_space(bare.trace, protect, state.collapse) if state.collapse else bare
    if found.protect != protect:
        found = replace(found, protect=protect)
    state.guarded = found
    return found


def protect(segment_id: int) -> None:
    """Protect a structure from removal, or release it where it is protected; trials follow."""
    state = current()
    state.protect ^= {segment_id}
    state.marked = tuple(i for i in state.marked if i not in state.protect)
    state.gates = tuple(i for i in state.gates if i not in state.protect)


def key_of(space: SearchSpace) -> str:
    """Stands for a space of the current network in caches."""
    return f"{require_analysis().key} {space.protect} {space.collapse}"


def title(source: Source | None = None) -> str:
    """A network's name, as people know it; by default the current one's. May be a stranger's text."""
    source = source or current().source
    return source.name if isinstance(source, OnnxFile) else source.title


def summary() -> list[str]:
    """What is open, as lines for the sidebar."""
    state = current()
    lines = [f"**{inert(title())}**"]
    if isinstance(state.source, OnnxFile):
        lines.append("ONNX, to look at only")
    if state.collapse:
        lines.append(f"{inert(', '.join(state.collapse))} collapsed")
    if state.protect:
        lines.append(f"{len(state.protect)} protected")
    if state.run_id:
        lines.append(f"run `{state.run_id}`")
    return lines
