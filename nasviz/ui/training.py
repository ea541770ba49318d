"""The Search and train page before a run: K, optimizer, data; what would go now; the start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.catalog import (
    FACTS,
    SALIENCIES,
    NetworkSource,
)
from nasviz.draw import Overlay, plan_overlay, saliency_overlay, state_overlay
from nasviz.draw.labels import count, plain_shape
from nasviz.errors import InvalidSettingError
from nasviz.graph import LatencyTable, SearchSpace
from nasviz.graph.budget import Measure, fit_budget
from nasviz.graph.protection import protection_text
from nasviz.settings import METHODS, PROXIMAL, RELAXED, WIDTH, MethodSettings, RunSettings
from nasviz.ui import (
    changed_training,
    controls,
    erasing,
    explained,
    forecast,
    frame,
    graphs,
    latency,
    live,
    recipe,
    run_facts,
    scores,
    session,
    view_only,
)
from nasviz.ui.controls import keep, kept
from nasviz.ui.data import ChosenData, ask_data, kind_of
from nasviz.ui.words import inert

__all__ = ["search_and_train"]

DEVICES = ("auto", "cpu", "cuda", "mps")
AMOUNT = ("target_sparsity", "slim", "group_divisible")
"""Settings that say how much goes; they have controls of their own."""
FIRST = ("base", "lr", "groups", "fraction", "mu", "saliency")
"""Settings of an optimizer that stand beside it; the others are folded up."""
MEASURES: Mapping[str, Measure] = {"Parameters": "parameters", "MACs": "macs"}
LATENCY = "Latency"


@frame.tell_errors
def search_and_train() -> None:
    """Watch the current run, or ask for a new one."""
    run = session.run()
    if run is None:
        _form()
        return
    live.watch(run)
    with st.container(horizontal=True, vertical_alignment="center"):
        if run.state == "done" and run_facts.has_subnet(run):
            frame.link("Sub-network", "See what is left")
        if st.button("Set up another run", icon=":material/add:", key="another"):
            session.current().run_id = None
            st.rerun()


def _form() -> None:
    source = view_only.network()
    if source is None:
        return
    space = session.space()
    if not space.removable and not len(space.channels):
        st.warning(
            "Nothing in this network can be erased or slimmed, so there is nothing to search. Choose another"
            " network, or release what you have protected or collapsed.",
            icon=":material/block:",
        )
        frame.next_steps("Model", "Segment graph")
        return
    left, right = st.columns([1, 1.15], gap="large")
    with left:
        above = st.container()
        values, chosen = _values(source)
        start = st.container()
        with above:
            method = METHODS[values["method"]]
            k = _sparsity(source, space, method)
            amount = {"target_sparsity": k} | _slim(space) if method.has("target_sparsity") else {}
    with right:
        _preview(source, space, k, values, chosen)
    with start:
        if values["epochs"] == 0:
            # The field allows it: a browser does not send a value out of bounds, and the old one would train.
            st.info("0 epochs train nothing: choose at least 1.", icon=":material/info:")
        elif chosen.problem is None:
            _start(source, space, values | amount)
        else:
            st.info(f"Before training: {chosen.problem}.", icon=":material/info:")


def _sparsity(source: NetworkSource, space: SearchSpace, method: type[MethodSettings]) -> int:
    """K as a count, with the share beside it, or fitted to a budget; 0 where the optimizer takes none."""
    st.markdown("##### How much shall go")
    if not method.has("target_sparsity"):
        st.caption(f"{method.title} finds by itself how much goes. {method.caution}")
        return 0
    limit, total = space.max_sparsity, len(space.removable)
    if limit == 0:
        st.info("None of the structures can go: an output needs them all.", icon=":material/info:")
        return 0
    way = st.segmented_control(
        "K by",
        ("Count", *MEASURES, LATENCY),
        default=kept("way", "Count"),
        required=True,
        key="way",
        help="Say how many structures go, or how large the sub-network may be.",
        label_visibility="collapsed",
    )
    keep("way", way)
    if way != "Count":
        k = _fitted(source, space, str(way))
    else:
        k = st.slider("K: structures that go", 0, limit, min(kept("k", (limit + 1) // 2 + 1), limit))
    keep("k", k)
    why = ": one more, and an output would be cut off" if limit < total else ""
    st.caption(f"**K = {k}** of {total} structures ({k / total:.0%}). K goes up to {limit}{why}.")
    forecast.band(space, k)
    return k


def _slim(space: SearchSpace) -> dict[str, Any]:
    """Channels to be cut besides, where a person asks for it."""
    wants = st.checkbox(
        "Also slim channels",
        kept("wants_slim", False),
        key="wants_slim",
        help="Cut channels inside the operators that stay: filters with all that depends on them (OTOv2).",
    )
    keep("wants_slim", wants)
    if not wants:
        return {}
    channels = space.channels
    if not len(channels):
        st.info("No operator of this network can lose channels.", icon=":material/info:")
        return {}
    share = st.slider("Share of the channels that go", 5, 95, kept("slim", 50), 5, format="%d %%", key="slim")
    keep("slim", share)
    divisible = controls.whole("Widths as multiples of", "group_divisible", 1, 1, 1024)
    widths = f"in {len(channels.slimmable)} sets of operators that share theirs"
    st.caption(f"Up to {len(channels) * share // 100:,} of {len(channels):,} channel groups, {widths}.")
    return {"slim": share / 100, "group_divisible": divisible}


def _fitted(source: NetworkSource, space: SearchSpace, way: str) -> int:
    words = way if way == "MACs" else way.lower()
    share = st.slider(f"Keep at most this share of the {words}", 1, 100, kept("share", 60), format="%d %%")
    keep("share", share)
    measure = latency.table_of(source) if way == LATENCY else MEASURES[way]
    if measure is None:
        return min(int(kept("k", 0)), space.max_sparsity)
    if isinstance(measure, LatencyTable):
        whole = measure.whole_ms
    else:
        whole = space.trace.num_parameters if way == "Parameters" else space.trace.macs
    fit = fit_budget(space, whole * share / 100, measure, draws=8)
    if not fit.is_reached:
        words = f"Even K = {space.max_sparsity} keeps more than that on average."
        st.warning(words, icon=":material/warning:")
    return fit.k


def _values(source: NetworkSource) -> tuple[dict[str, Any], ChosenData]:
    """Everything but K, and how the data stand."""
    st.markdown("##### How it learns")
    kind = kind_of(source)
    columns = st.columns(2)
    place = columns[0].container()
    with columns[0]:
        epochs = controls.whole("Epochs", "epochs", 4, 0, 10_000)
        seed = controls.whole("Seed", "seed", 0, 0, 2**32 - 1)
    with columns[1]:
        method = _method(kind)
        batch_size = controls.whole("Batch size", "batch_size", 64, 1, 65_536)
        device = controls.choice(
            "Device", DEVICES, "device", help_text="auto: the first CUDA device, else the processor."
        )
        is_deterministic = device != "cpu" and controls.yes(
            "Same bits on CUDA",
            "deterministic",
            help_text="A resumed run then ends to the bit as one that was never stopped. Often slower; a"
            " network with an operator that cannot do it is refused. The processor needs no such choice.",
        )
        explained.device(device)
    data = ask_data(place, kind)
    own = _method_settings(method)
    own |= _cells(source, own) | recipe.ask_recipe(method)
    recipe.offer_published(source.entry, method)
    values = {
        "allow_changed_training": changed_training.ask_for_leave(),
        "epochs": epochs,
        "seed": seed,
        "device": device,
        "deterministic": is_deterministic,
        "batch_size": batch_size,
        "method": method.model_fields["name"].default,
    }
    return own | data.values | values, data


def _method(kind: str) -> type[MethodSettings]:
    """Return the chosen method; for text only those that weigh the operations of a recurrent cell."""
    if kind == "images":
        return controls.choose_entry("Optimizer", METHODS, "optimizer")
    table = {name: method for name, method in METHODS.items() if method.family == RELAXED}
    return controls.choose_entry("Optimizer", table, f"optimizer.{kind}")


def _cells(source: NetworkSource, own: Mapping[str, Any]) -> dict[str, Any]:
    """Ask whether an operation lives or dies in all cells of one type at once, on networks of cells."""
    cells = source.entry.cells if source.entry else ()
    if not cells or own.get("cells") != ():
        return {}
    words = (
        "The same operation in all cells of one type is one group: what is found is a cell, not a network."
    )
    is_tied = st.checkbox("One cell for all", kept("is_tied", True), key="is_tied", help=words)
    keep("is_tied", is_tied)
    return {"cells": cells if is_tied else ()}


def _method_settings(method: type[MethodSettings]) -> dict[str, Any]:
    """Ask for the settings of a method, but for how much goes."""
    prefix = str(method.model_fields["name"].default)
    known = {name: field for name, field in method.fields().items() if name not in AMOUNT}
    first = [known[name] for name in FIRST if name in known]
    values = controls.ask_all(first, prefix, columns=len(first))
    with st.expander("Warm-up, projection and the rest", icon=":material/tune:"):
        rest = [field for name, field in known.items() if name not in FIRST]
        values |= controls.ask_all(rest, prefix)
        if "saliency" in values:
            score = SALIENCIES[values["saliency"]]
            st.caption(f"**{score.title}.** {score.summary} {score.caution}")
    base = values.get("base")
    explained.optimizer(method, None if base is None else str(base), known.values())
    return values


def _preview(
    source: NetworkSource, space: SearchSpace, k: int, values: Mapping[str, Any], chosen: ChosenData
) -> None:
    """The segment graph, coloured by the scores of the moment, with the K that would go."""
    view = graphs.segments_of(session.key_of(space), space)
    st.markdown("##### What would go now")
    found = None
    if space.removable and chosen.problem is None:
        saliency = scores.choose("preview.saliency", values.get("saliency", "snip"))
        found = scores.scored(source, space, saliency, data=chosen.values, seed=values["seed"])
    overlay = Overlay()
    if found is not None:
        plan = space.plan(space.select(found, k))
        if k:
            erasing.plan_metrics(plan)
        overlay = saliency_overlay(view, space, found) | plan_overlay(view, plan)
    protected = [v for i in space.protected for v in space.segments[i].vertices]
    overlay |= state_overlay(view, protected, "protected")
    told = graphs.tell(view, space, "preview-graph")
    graphs.picture(view, key="preview-graph", overlay=overlay, about=told)
    if found is not None:
        st.caption(
            "Scored on one batch before any training: dark is redundant, bright is important. Training"
            " changes the order."
        )


def _start(source: NetworkSource, space: SearchSpace, values: Mapping[str, Any]) -> None:
    protect = tuple(map(protection_text, space.protect))
    try:
        settings = RunSettings.of(network=source, protect=protect, collapse=space.collapse, **values)
        _tell_steps(settings, space)
    except InvalidSettingError as error:
        st.error(inert(str(error)), icon=":material/error:")
        return
    if changed_training.changes() and not settings.allow_changed_training:
        st.info("Allow the changed training above, or change the network.", icon=":material/info:")
        return
    if st.button("Start training", type="primary", icon=":material/play_arrow:", key="start"):
        jobs.require_trusted(
            settings
        )  # before the run exists: what is created here counts as this user's own
        run = session.store().create(settings)
        jobs.start_run(run)
        session.open_run(run)
        st.rerun()


def _tell_steps(settings: RunSettings, space: SearchSpace) -> None:
    """How many steps of which kind; of data that were not opened yet nobody knows."""
    facts = FACTS.get(settings.data)
    if facts is None or not facts.num_train:
        st.caption("How many steps that is, is known once the worker has opened the data.")
        return
    schedule = settings.schedule(facts.num_train)
    rest = schedule.total_steps - schedule.warmup_steps - schedule.projection_steps
    family = settings.method.family
    if family == RELAXED:
        then = f"{rest} to search, each with a batch of both halves of the images."
    elif family == PROXIMAL:
        then = f"{schedule.projection_steps} to search under the penalty, {rest} to train on without it."
    elif family == WIDTH:
        then = f"{schedule.projection_steps} to score, {rest} to tune, each with a batch of both halves."
    else:
        then = f"{schedule.projection_steps} to project, {rest} to train on."
    what = f"Images are resized to {plain_shape(space.trace.inputs[0].shape)}; each costs"
    if facts.kind == "text":
        what = f"A window is {facts.size} symbols, read from a state of zeros on; each costs"
    st.caption(
        f"{schedule.total_steps} steps: {schedule.warmup_steps} to warm up, {then} {what}"
        f" {count(space.trace.macs)} MACs."
    )
