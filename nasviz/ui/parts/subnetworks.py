"""A constructed sub-network: its files, its plan and its report."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.draw.labels import clean
from nasviz.errors import NasvizError, RunNotFoundError
from nasviz.graph import ConstructionPlan, SearchSpace
from nasviz.graph.space import protection_text
from nasviz.runs import Run, RunSummary, keep_subnet
from nasviz.runs.files import SUBNET
from nasviz.ui import address, frame, session
from nasviz.ui.options import options
from nasviz.ui.parts import gates_and_switches, notices, run_facts, work
from nasviz.ui.parts.escaping import inert
from nasviz.ui.parts.onnx_files import OnnxFile

__all__ = ["BY_HAND", "FROM_RUN", "Subnetwork", "accuracy_before", "choose", "of_run", "small_space"]

FROM_RUN, BY_HAND = "From a run", "Manual selection"
MOST_KEPT = 12
"""Number of manual selections kept on disk."""


@dataclass(frozen=True)
class Subnetwork:
    """One sub-network."""

    title: str
    folder: Path
    """Folder with graph.json, weights.safetensors, model.py and report.json."""
    space: SearchSpace
    """Search space of the full network."""
    plan: ConstructionPlan
    report: Mapping[str, Any]
    """Measurements of the construction: max_relative_error, effect, params_after, ..."""
    source: NetworkSource
    """The full network."""
    run: Run | None = None
    """Run that trained the weights; None for an untrained network."""

    @property
    def data(self) -> str | None:
        """Name of the data set of the run; None for an untrained network."""
        return self.run.settings.data if self.run and not self.run.settings.is_watched else None

    @property
    def sizes(self) -> tuple[int, int] | None:
        """Sizes of the weights of both networks in bytes; None for runs of earlier versions."""
        full, small = self.report.get("bytes_before"), self.report.get("bytes_after")
        return None if full is None or small is None else (int(full), int(small))

    @property
    def imports(self) -> tuple[str, ...]:
        """Third-party classes in the sub-network, which its Python source imports."""
        return tuple(map(str, self.report.get("imports", ())))

    def as_network(self) -> NetworkSource:
        """Return the sub-network as a network source, stored with the runs."""
        source = NetworkSource(self.source.name_of_subnet, subnet=str(self.folder))
        return keep_subnet(options().runs, source, run_id=self.run.id if self.run else None)

    @property
    def inputs(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the inputs, batch first."""
        return tuple(i.shape for i in self.space.trace.inputs)

    @property
    def accuracies(self) -> tuple[float, float] | None:
        """Validation accuracies of the full network and of the sub-network without fine-tuning."""
        full, small = self.report.get("accuracy_full"), self.report.get("accuracy_subnet")
        return None if full is None or small is None else (float(full), float(small))


def choose(key: str) -> Subnetwork | None:
    """Let the user choose a sub-network; return None, after a hint, if there is none."""
    state = session.current()
    way = st.segmented_control(
        "Which sub-network",
        (FROM_RUN, BY_HAND),
        default=state.choices.get("cut", FROM_RUN),
        required=True,
        key=f"{key}.cut",
        label_visibility="collapsed",
    )
    state.choices["cut"] = way
    return _from_run(key) if way == FROM_RUN else _by_hand(key)


def of_run(run: Run) -> Subnetwork:
    """Return the sub-network of a finished run."""
    run_facts.require_intact(run)
    end, space = run.end, run_facts.space_of(run)
    assert end is not None
    assert space is not None
    result = end.result
    name = run_facts.title(run)
    plan = space.plan(result["selected"], (), result.get("channels", ()))
    # Differentiable search also removes the switches, which the plan still counts.
    plan = replace(plan, params_after=int(result.get("params_after", plan.params_after)))
    return Subnetwork(name, run.folder / SUBNET, space, plan, result, run.settings.network, run)


def accuracy_before(subnet: Subnetwork) -> float | None:
    """Return the accuracy of the sub-network before fine-tuning, or None if unknown."""
    if subnet.run is None or subnet.run.cut_from is None:
        return None
    try:
        end = session.store().open(subnet.run.cut_from).end
    except RunNotFoundError:
        return None
    known = end.result.get("accuracy_subnet") if end else None
    return None if known is None else float(known)


def small_space(subnet: Subnetwork) -> SearchSpace | None:
    """Return the search space of the sub-network, read from its files and traced; None until it is ready."""
    if subnet.imports:
        st.info(
            f"The sub-network uses {inert(', '.join(subnet.imports))}, which data files may not import. It"
            " can be exported as Python source, but not displayed here.",
            icon=":material/extension:",
        )
        return None
    state = session.current()
    key = f"reopen {subnet.folder} {subnet.plan.selected} {subnet.plan.gates}"
    if key not in state.jobs:
        state.jobs[key] = jobs.submit(jobs.Reopen(folder=subnet.folder, inputs=subnet.inputs))
    result: jobs.Reopened | None = work.shown(key, "Loading the sub-network", cache=state.jobs)
    return None if result is None else result.space


def _from_run(key: str) -> Subnetwork | None:
    done = [s for s in session.store().list() if s.state == "done" and not s.is_invalid]
    chosen = choose_run(done, key)
    source = session.current().source
    if chosen is None and isinstance(source, OnnxFile):
        notices.explain_view_only(source)
        return None
    if chosen is None:
        st.info(
            "No finished runs yet. Train a network first, or choose **Manual selection**.",
            icon=":material/info:",
        )
        frame.next_steps("Search and train")
        return None
    return of_run(session.store().open(chosen))


def _by_hand(key: str) -> Subnetwork | None:
    """Construct a sub-network from manually selected structures of the current network or of a run."""
    ended = [s for s in session.store().list() if s.state in ("done", "cancelled", "failed", "crashed")]
    runs = [
        s for s in ended if s.settings is None or not s.settings.is_watched
    ]  # these store no full network
    source = session.current().source
    if isinstance(source, OnnxFile) or source.graph is not None:
        notices.explain_view_only(source)
        if not runs:
            return None
    run = _weights_of(runs, key)
    space = (run_facts.space_of(run) if run else None) or session.space()
    names = {s.id: f"{s.id} · {clean(s.name)}" for s in space.removable}
    marked = [i for i in session.current().marked if i in names]
    erased = st.multiselect(
        f"Structures to erase (at most {space.max_sparsity} of {len(names)})",
        list(names),
        default=marked,
        format_func=names.__getitem__,
        key=f"{key}.erased.{run.id if run else source}.{space.collapse}",
        placeholder="Choose structures",
    )
    widget = f"{key}.gates.{run.id if run else source}.{space.collapse}"
    gates = gates_and_switches.choose_gates(space, "Gates to replace by their value at zero", widget)
    session.current().marked, session.current().gates = tuple(sorted(erased)), gates
    if not erased and not gates:
        st.caption("Selected structures are set to zero in a copy, removed, and the outputs are compared.")
        return None
    plan = space.plan(erased, gates)
    return _constructed(run, space, plan)


def _weights_of(runs: list[RunSummary], key: str) -> Run | None:
    """Let the user choose the run whose weights are used; None for the weights of the current network."""
    source = session.current().source
    labels: dict[str | None, str] = {}
    if not isinstance(source, OnnxFile) and source.graph is None:
        labels[None] = f"{session.title(source)}, {'saved' if source.subnet else 'initial'} weights"
    labels |= {s.id: f"trained: {run_facts.line(s)}" for s in runs}
    chosen = st.selectbox("Weights", list(labels), format_func=labels.__getitem__, key=f"{key}.weights")
    return session.store().open(chosen) if chosen else None


def _constructed(run: Run | None, space: SearchSpace, plan: ConstructionPlan) -> Subnetwork | None:
    state = session.current()
    source = state.source if run is None else run.settings.network
    assert not isinstance(source, OnnxFile), "a file has no weights to choose"
    name = f"construct {run.id if run else source} {plan.selected} {plan.gates} {space.collapse}"
    if name not in state.jobs:
        if not st.button("Construct", type="primary", icon=":material/content_cut:", key="cut-it"):
            return None
        state.jobs[name] = jobs.submit(
            jobs.Construct(
                run=None if run is None else run.folder,
                source=source if run is None else None,
                erased=plan.selected,
                gates=plan.gates,
                folder=_folder(name),
                protect=tuple(map(protection_text, space.protect)),
                collapse=space.collapse,
                frozen=space.frozen,
            )
        )
        st.rerun()  # removes the button, so that the elements below keep their positions
    result: jobs.Constructed | None = work.shown(name, "Constructing", cache=state.jobs)
    if result is None:
        return None
    title = f"{session.title(source)}, manual selection"
    return Subnetwork(title, result.folder, space, plan, result.report, source, run)


def _folder(name: str) -> Path:
    """Return the folder of a manual selection, and delete the oldest ones."""
    place = options().runs / ".by-hand"
    folder = place / hashlib.sha256(name.encode()).hexdigest()[:24]
    others = [item for item in place.glob("*") if item.is_dir() and item != folder]
    for item in sorted(others, key=lambda item: item.stat().st_mtime)[: -MOST_KEPT + 1]:
        shutil.rmtree(item, ignore_errors=True)
    return folder


def choose_run(summaries: Sequence[RunSummary], key: str) -> str | None:
    """Let the user choose a run; the default is the current run, or the first of the current network."""
    ids = [summary.id for summary in summaries]
    state = session.current()
    known = state.run_id
    if known is not None and known not in ids and not _exists(known):
        st.warning(
            f"Run `{known}` was deleted. Restore it from the trash on the Runs page.",
            icon=":material/folder_off:",
        )
        if st.button("Choose another run", icon=":material/list:", key=f"{key}.deleted"):
            state.run_id = None
            st.rerun()
        st.stop()  # do not silently show another run
    if not ids:
        return None
    by_id = {summary.id: summary for summary in summaries}
    networks = [summary.settings.network if summary.settings else None for summary in summaries]
    nearest = networks.index(state.source) if state.source in networks else 0
    chosen = st.selectbox(
        "Run",
        ids,
        ids.index(known) if known in ids else nearest,
        format_func=lambda run_id: run_facts.line(by_id[run_id]),
        key=f"{key}.{known}",
    )
    state.run_id = chosen
    address.write_link()
    if state.source not in networks and not isinstance(state.source, OnnxFile):
        st.info(
            f"The current network, {inert(session.title(state.source))}, has no finished run. Train it, or"
            " choose **Manual selection** to remove structures without training.",
            icon=":material/info:",
        )
    return chosen


def _exists(run_id: str) -> bool:
    try:
        session.store().open(run_id)
    except NasvizError:
        return False
    return True
