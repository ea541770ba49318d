"""What one visitor has before him: network, protection, run. Kept apart from widgets, and in the address.

Streamlit forgets a widget when its page is left, so all that has to last is copied into one `Session`. The
address of every page names the network and the run, so that it can be sent to somebody else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.errors import InvalidSettingError, NasvizError, RunNotFoundError
from nasviz.graph import SearchSpace
from nasviz.runs import Run, Store, SweepStore
from nasviz.ui import work
from nasviz.ui.options import options

__all__ = [
    "Analysis",
    "Session",
    "current",
    "forget_run",
    "link",
    "open_network",
    "open_run",
    "read_link",
    "require_analysis",
    "run",
    "space",
    "store",
    "summary",
    "sweeps",
    "write_link",
]

_KEY = "nasviz"
_CHOICES = {"K": "k", "optimizer": "optimizer", "seed": "seed", "view": "view"}
"""Names in the address of what widgets remember."""
_SETTINGS = "set."
"""Before the names of a network's own settings in the address."""


@dataclass(frozen=True)
class Analysis:
    """A network that was traced, as data."""

    source: NetworkSource
    space: SearchSpace
    key: str
    """Stands for the trace in caches."""
    parity: Mapping[str, Any] = field(default_factory=dict)
    rung: str = ""
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass
class Session:
    """One visitor's choices."""

    source: NetworkSource = field(default_factory=lambda: NetworkSource("demonet"))
    analysis: Analysis | None = None
    protect: frozenset[int] = frozenset()
    """Structures that must stay."""
    run_id: str | None = None
    vertex: str | None = None
    """Chosen vertex of the trace graph."""
    linked: str | None = None
    """Vertex that the address of the visit asked for: the graphs go there until another one is chosen."""
    marked: tuple[int, ...] = ()
    """Structures whose going is being looked at."""
    choices: dict[str, Any] = field(default_factory=dict)
    """Values of widgets that outlive their page, by the widget's key."""
    jobs: dict[str, jobs.Job] = field(default_factory=dict)
    notice: str | None = None
    """Told once, on top of the next page."""
    guarded: SearchSpace | None = None
    """The space with what is protected, once it was asked for."""


def current() -> Session:
    """The session of this visitor."""
    if _KEY not in st.session_state:
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


def open_network(source: NetworkSource) -> None:
    """Make another network the current one; it is analysed when a page asks for it."""
    state = current()
    if source == state.source and state.analysis is not None:
        return
    state.source, state.analysis = source, None
    state.protect, state.marked = frozenset(), ()
    state.vertex = state.linked = None
    state.run_id = None
    for name in [name for name in state.jobs if not name.startswith("export")]:
        state.jobs.pop(name).cancel()


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
    except RunNotFoundError as error:
        st.warning(f"{str(error)[:1].upper()}{str(error)[1:]}.", icon=":material/folder_off:")
        state.run_id = None
        return None


def require_analysis() -> Analysis:
    """The current network, analysed. Until it is, the page shows how far it is and ends there."""
    state = current()
    if state.analysis is None:
        source = state.source
        result = work.require(
            f"analyze {source}", lambda: jobs.analyze(source), f"Tracing {source.name}", cache=state.jobs
        )
        state.analysis = Analysis(
            source=source,
            space=SearchSpace.from_json(result["space"]),
            key=hashlib.sha256(json.dumps(result["space"]["trace"]).encode()).hexdigest(),
            parity=result["parity"],
            rung=result["rung"],
            warnings=tuple(result["warnings"]),
            seconds=result["seconds"],
        )
    return state.analysis


def space() -> SearchSpace:
    """The search space of the current network, with what this visitor protects."""
    state, analysis = current(), require_analysis()
    protect = tuple(sorted(state.protect))
    found = state.guarded
    if found is None or found.protect != protect or found.segments is not analysis.space.segments:
        found = state.guarded = replace(analysis.space, protect=protect)
    return found


def link() -> dict[str, str]:
    """What the address says of the current network and run."""
    state = current()
    source = state.source
    found = {"model": source.name}
    if source.input_shape:
        found["input"] = "x".join(map(str, source.input_shape))
    if source.num_classes:
        found["classes"] = str(source.num_classes)
    found |= {f"{_SETTINGS}{name}": str(value) for name, value in dict(source.settings).items()}
    found |= {name: str(state.choices[key]) for name, key in _CHOICES.items() if key in state.choices}
    if state.run_id:
        found["run"] = state.run_id
    if state.vertex:
        found["vertex"] = state.vertex
    return found


def write_link() -> None:
    """Bring the address up to date, where it is not."""
    if st.query_params.to_dict() != link():
        st.query_params.from_dict(link())


def read_link() -> None:
    """Take over what the address of the first page of a visit says."""
    if _KEY in st.session_state:
        return
    asked = st.query_params.to_dict()
    state = current()
    try:
        if "model" in asked:
            state.source = _source(asked)
        elif "run" in asked:
            state.source = store().open(asked["run"]).settings.network
        for name in asked.keys() & _CHOICES.keys():
            state.choices[_CHOICES[name]] = _choice(name, asked[name])
    except (NasvizError, ValueError) as error:
        state.notice = f"The address asks for something that cannot be opened: {error}"
    state.run_id = asked.get("run")
    state.vertex = state.linked = asked.get("vertex")


def _source(asked: Mapping[str, str]) -> NetworkSource:
    return NetworkSource(
        asked["model"],
        input_shape=tuple(int(part) for part in asked["input"].split("x")) if "input" in asked else None,
        num_classes=int(asked["classes"]) if "classes" in asked else None,
        trust=options().trust if ":" in asked["model"] else (),
        settings={
            name.removeprefix(_SETTINGS): _value(text)
            for name, text in asked.items()
            if name.startswith(_SETTINGS)
        },
    )


def _choice(name: str, text: str) -> int | str:
    if name in ("optimizer", "view"):
        return text
    if not text.isdecimal():
        raise InvalidSettingError(f"{name}={text!r} was asked for, but it must be a whole number from 0")
    return int(text)


def _value(text: str) -> int | float | bool | str:
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def summary() -> list[str]:
    """What is open, as lines for the sidebar."""
    state = current()
    name = state.source.entry.title if state.source.entry else state.source.name
    lines = [f"**{name}**"]
    if state.protect:
        lines.append(f"{len(state.protect)} protected")
    if state.run_id:
        lines.append(f"run `{state.run_id}`")
    return lines
