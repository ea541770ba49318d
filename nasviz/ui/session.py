"""State of one browser session: network, constraints and run.

Streamlit drops the state of a widget when its page is left, so values that must last are copied into one
`Session`. The address of every page names the network, its constraints and the run, so it can be shared.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.errors import NasvizError, RunNotFoundError, StorageError
from nasviz.graph import SearchSpace, search_space
from nasviz.graph.space import protection, protection_text
from nasviz.runs import Run, RunSettings, Store, SweepStore, UserImport
from nasviz.ui.options import options
from nasviz.ui.parts import work
from nasviz.ui.parts.escaping import inert, sentence
from nasviz.ui.parts.onnx_files import OnnxFile, upload_store

__all__ = [
    "Analysis",
    "Constraints",
    "Session",
    "Source",
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
    "space_settings",
    "store",
    "summary",
    "sweeps",
    "title",
]

Source = NetworkSource | OnnxFile
"""Source of the current network; ONNX files are view-only."""

_KEY = "nasviz"
MOST_RECENT = 12
LONGEST_NUMBER = 20
"""Maximum number of digits in untrusted input: `int` rejects very long strings."""


@dataclass(frozen=True)
class Analysis:
    """Result of tracing a network, as data."""

    source: Source
    result: jobs.Analysis
    """Result of the worker."""
    key: str
    """Cache key of the trace."""

    @property
    def space(self) -> SearchSpace:
        """Search space without constraints."""
        return self.result.space


@dataclass(frozen=True, slots=True)
class Constraints:
    """Constraints on a search space. Segment ids are valid for one value of `collapse` only."""

    collapse: tuple[str, ...] = ()
    protect: frozenset[int] = frozenset()
    marked: tuple[int, ...] = ()
    gates: tuple[int, ...] = ()


@dataclass
class Session:
    """Choices of one browser session."""

    source: Source = field(default_factory=lambda: NetworkSource("demonet"))
    recent: tuple[Source, ...] = ()
    """Previously open networks, most recent first."""
    analysis: Analysis | None = None
    collapse: tuple[str, ...] = ()
    """Modules collapsed to one vertex each: class names and path patterns."""
    protect: frozenset[int] = frozenset()
    """Protected structures."""
    agreed: set[NetworkSource | UserImport] = field(default_factory=set)
    """Imports and unusual network sizes the user has agreed to (see `nasviz.ui.consent`)."""
    run_id: str | None = None
    vertex: str | None = None
    """Selected vertex of the trace graph."""
    linked: str | None = None
    """Vertex named by the address; graphs are centred on it until another one is selected."""
    marked: tuple[int, ...] = ()
    """Structures whose removal is previewed."""
    gates: tuple[int, ...] = ()
    """Gates whose replacement is previewed."""
    before: tuple[Constraints, ...] = ()
    """Undo history of the constraints, most recent last."""
    choices: dict[str, Any] = field(default_factory=dict)
    """Persistent widget values by widget key."""
    jobs: dict[str, jobs.Job[Any]] = field(default_factory=dict)
    notice: str | None = None
    """Message shown once, at the top of the next page."""
    guarded: SearchSpace | None = None
    """Cached search space with the constraints applied."""

    @property
    def constraints(self) -> Constraints:
        """Current constraints on the search space."""
        return Constraints(self.collapse, self.protect, self.marked, self.gates)

    @constraints.setter
    def constraints(self, value: Constraints) -> None:
        self.collapse, self.protect = value.collapse, value.protect
        self.marked, self.gates = value.marked, value.gates


def is_new() -> bool:
    """Return whether the session has no state yet."""
    return _KEY not in st.session_state


def current() -> Session:
    """Return the state of this browser session."""
    if is_new():
        st.session_state[_KEY] = Session()
    found = st.session_state[_KEY]
    assert isinstance(found, Session)
    return found


def store() -> Store:
    """Return the store of runs of this server."""
    return Store(options().runs)


def sweeps() -> SweepStore:
    """Return the store of sweeps of this server."""
    return SweepStore(options().runs)


def open_network(source: Source, *, is_chosen: bool = False) -> None:
    """Make another network current; it is analysed when a page needs it.

    Args:
        source: The network.
        is_chosen: Whether the user has chosen its size in a form, so that no further consent is needed.
    """
    state = current()
    if is_chosen and isinstance(source, NetworkSource) and not source.is_callable:
        state.agreed.add(source)
    if source == state.source and state.analysis is not None:
        return
    state.recent = tuple(dict.fromkeys((state.source, *state.recent)))[:MOST_RECENT]
    state.source, state.analysis = source, None
    entry = None if isinstance(source, OnnxFile) else source.entry
    state.constraints, state.before = Constraints(entry.collapse if entry else ()), ()
    state.vertex = state.linked = None
    state.run_id = None
    for name in [name for name in state.jobs if not name.startswith("export")]:
        state.jobs.pop(name).cancel()


def adopt(settings: RunSettings) -> None:
    """Make the network of a run current, with the constraints of the run."""
    open_network(settings.network)
    state = current()
    if state.collapse != settings.collapse:
        state.constraints, state.before = Constraints(settings.collapse), ()
    protections = map(protection, settings.protect)
    state.protect = frozenset(item for item in protections if isinstance(item, int))
    state.choices["frozen"] = settings.frozen


def open_run(run: Run) -> None:
    """Make a run current."""
    current().run_id = run.id


def forget_run(run_id: str) -> None:
    """Close a run if it is the current one."""
    if current().run_id == run_id:
        current().run_id = None


def run() -> Run | None:
    """Return the current run, or None, after a warning if its folder is missing."""
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
    """Return the analysis of the current network; until it is ready, show its progress and stop the page."""
    state = current()
    if state.analysis is None:
        source = state.source
        doing = "Loading" if isinstance(source, OnnxFile) else "Tracing"
        result = work.require(
            f"analyze {source}", lambda: _analyze(source), f"{doing} {inert(source.name)}", cache=state.jobs
        )
        state.analysis = Analysis(
            source, result, hashlib.sha256(json.dumps(result.space.trace.to_json()).encode()).hexdigest()
        )
    return state.analysis


def _analyze(source: Source) -> jobs.Job[jobs.Analysis]:
    if isinstance(source, OnnxFile):
        return jobs.submit(jobs.ViewOnnx(path=upload_store().path(source), name=source.name))
    return jobs.submit(jobs.Analyze(source=source))


def space() -> SearchSpace:
    """Return the search space of the current network with the constraints of the session."""
    state, analysis = current(), require_analysis()
    entry = None if isinstance(state.source, OnnxFile) else state.source.entry
    if entry is not None and state.collapse == entry.collapse:
        there = set(analysis.space.trace.modules.values())  # not all networks of an entry have such modules
        state.collapse = tuple(name for name in state.collapse if name in there)
    try:
        return _constrained(state, analysis.space)
    except NasvizError as error:
        # Widgets offer valid constraints only, so invalid ones come from the address.
        st.warning(f"The constraints of the address were ignored: {sentence(str(error))}")
        state.constraints, state.before = Constraints(), ()
        return _constrained(state, analysis.space)


def _constrained(state: Session, bare: SearchSpace) -> SearchSpace:
    """Return the space with the current constraints; rebuilt only when they change."""
    protect, found = tuple(sorted(state.protect)), state.guarded
    frozen = state.choices.get("frozen", bare.frozen)
    if found is None or found.collapse != state.collapse or found.trace is not bare.trace:
        found = search_space(bare.trace, protect, state.collapse) if state.collapse else bare
    if (found.protect, found.frozen) != (protect, frozen):
        found = replace(found, protect=protect, frozen=frozen)
    state.guarded = found
    return found


def protect(segment_id: int) -> None:
    """Toggle the protection of a structure, and remove protected structures from the preview."""
    state = current()
    state.protect ^= {segment_id}
    state.marked = tuple(i for i in state.marked if i not in state.protect)
    state.gates = tuple(i for i in state.gates if i not in state.protect)


def key_of(space: SearchSpace) -> str:
    """Return the cache key of a space of the current network."""
    return f"{require_analysis().key} {space.protect} {space.collapse} {space.frozen}"


def space_settings(space: SearchSpace) -> dict[str, Any]:
    """Return the settings of a run that searches this space."""
    protect = tuple(map(protection_text, space.protect))
    return {"protect": protect, "collapse": space.collapse, "frozen": space.frozen}


def title(source: Source | None = None) -> str:
    """Return the title of a network, by default of the current one; untrusted text."""
    source = source or current().source
    return source.name if isinstance(source, OnnxFile) else source.title


def summary() -> list[str]:
    """Return the summary of the session for the sidebar, as lines of Markdown."""
    state = current()
    lines = [f"**{inert(title())}**"]
    if isinstance(state.source, OnnxFile):
        lines.append("ONNX, view only")
    if state.collapse:
        lines.append(f"{inert(', '.join(state.collapse))} collapsed")
    if state.protect:
        lines.append(f"{len(state.protect)} protected")
    if state.run_id:
        lines.append(f"run `{state.run_id}`")
    return lines
