"""The Search and train page before a run: target sparsity, optimizer, data, preview and start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from nasviz import jobs
from nasviz.catalog import (
    FACTS,
    SALIENCIES,
    NetworkSource,
)
from nasviz.draw import Overlay, plan_overlay, saliency_overlay, state_overlay
from nasviz.draw.labels import count, plain_shape, settings_line
from nasviz.errors import InvalidSettingError
from nasviz.graph import LatencyTable, SearchSpace
from nasviz.graph.budget import Measure, fit_budget
from nasviz.settings import METHODS, MethodSettings, RunSettings, laid_over
from nasviz.ui import frame, session
from nasviz.ui.options import options
from nasviz.ui.parts import controls, graphs, latency, live, notices, plans, run_facts, run_form, scores
from nasviz.ui.parts.controls import keep, kept
from nasviz.ui.parts.data import ChosenData, ask_data, kind_of
from nasviz.ui.parts.escaping import inert

__all__ = ["search_and_train"]

DEVICES = ("auto", "cpu", "cuda", "mps")
AMOUNT = ("target_sparsity", "slim", "group_divisible")
"""Settings of the target sparsity, which have their own widgets."""
FIRST = ("base", "lr", "groups", "fraction", "mu", "saliency")
"""Settings of an optimizer that are always visible; the others are in an expander."""
MEASURES: Mapping[str, Measure] = {"Parameters": "parameters", "MACs": "macs"}
LATENCY = "Latency"


@frame.Page(
    "Search and train",
    5,
    icon=":material/model_training:",
    invitation="Start a search",
    lead="Set the target sparsity, train, and watch redundant structures become zero.",
    group="Search",
)
def search_and_train() -> None:
    """Show the current run, or the form for a new one."""
    run = session.run()
    if run is None:
        _form()
        return
    live.watch(run)
    with st.container(horizontal=True, vertical_alignment="center"):
        if run.state == "done" and run_facts.has_subnet(run):
            frame.link("Sub-network", "Show the sub-network")
        if st.button("New run", icon=":material/add:", key="another"):
            session.current().run_id = None
            st.rerun()


def _form() -> None:
    source = notices.trainable_network()
    if source is None:
        return
    if session.require_analysis().space.trace.frozen:
        controls.ask(RunSettings.fields()["frozen"], "frozen")  # before the space, which depends on it
    space = session.space()
    if not space.removable and not len(space.channels):
        st.warning(
            "This network has no removable structures or channels. Choose another network, or undo protection"
            " and collapsing.",
            icon=":material/block:",
        )
        frame.next_steps("Model", "Segment graph")
        return
    left, right = st.columns([1, 1.15], gap="large")
    with left:
        above = st.container()
        notes: dict[str, Any] = {}
        values, chosen = _values(source, notes)
        start = st.container()
        with above:
            method = METHODS[values["method"]]
            k = _sparsity(source, space, method)
            amount = {"target_sparsity": k} | _slim(space) if method.has("target_sparsity") else {}
    with right:
        _preview(source, space, k, values, chosen)
    with st.container(key="start-bar", horizontal=True, vertical_alignment="center"):
        if values.get("epochs") == 0:
            # The field allows 0: browsers do not send a value out of bounds, so the old value would be used.
            st.info("0 epochs given: choose at least 1.", icon=":material/info:")
        elif chosen.problem is None:
            _start(source, space, values | amount, notes, start)
        else:
            st.info(f"Before training: {chosen.problem}.", icon=":material/info:")


def _sparsity(source: NetworkSource, space: SearchSpace, method: type[MethodSettings]) -> int:
    """Ask for K as a count or fitted to a budget; return 0 if the optimizer has no target sparsity."""
    st.markdown("##### Target sparsity")
    if not method.has("target_sparsity"):
        st.caption(
            f"{method.title} has no target sparsity: it determines the amount itself. {method.caution}"
        )
        return 0
    limit, total = space.max_sparsity, len(space.removable)
    if limit == 0:
        st.info("No structure can be removed: an output depends on each of them.", icon=":material/info:")
        return 0
    way = st.segmented_control(
        "Target sparsity by",
        ("Count", *MEASURES, LATENCY),
        default=kept("way", "Count"),
        required=True,
        key="way",
        help="Set K directly, or fit it to a budget.",
        label_visibility="collapsed",
    )
    keep("way", way)
    if way != "Count":
        k = _fitted(source, space, str(way))
    else:
        k = st.slider("K: structures to remove", 0, limit, min(kept("k", (limit + 1) // 2 + 1), limit))
    keep("k", k)
    why = ": with more, an output would be disconnected" if limit < total else ""
    st.caption(f"**K = {k}** of {total} structures ({k / total:.0%}). The maximum is {limit}{why}.")
    run_form.size_forecast(space, k)
    return k


def _slim(space: SearchSpace) -> dict[str, Any]:
    """Ask whether channels are removed as well, and how many."""
    wants = st.checkbox(
        "Also remove channels",
        kept("wants_slim", False),
        key="wants_slim",
        help="Remove channels of the remaining operators, with all that depends on them (OTOv2).",
    )
    keep("wants_slim", wants)
    if not wants:
        return {}
    channels = space.channels
    if not len(channels):
        st.info("No operator of this network has removable channels.", icon=":material/info:")
        return {}
    share = st.slider("Channel sparsity", 5, 95, kept("slim", 50), 5, format="%d %%", key="slim")
    keep("slim", share)
    divisible = controls.whole("Round channels to multiples of", "group_divisible", 1, 1, 1024)
    sets = f"in {len(channels.slimmable)} sets of coupled operators"
    st.caption(f"Up to {len(channels) * share // 100:,} of {len(channels):,} channel groups, {sets}.")
    return {"slim": share / 100, "group_divisible": divisible}


def _fitted(source: NetworkSource, space: SearchSpace, way: str) -> int:
    words = way if way == "MACs" else way.lower()
    share = st.slider(f"Budget: remaining {words}", 1, 100, kept("share", 60), format="%d %%")
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
        words = f"The budget cannot be met: even K = {space.max_sparsity} keeps more on average."
        st.warning(words, icon=":material/warning:")
    return fit.k


def _values(source: NetworkSource, notes: dict[str, Any]) -> tuple[dict[str, Any], ChosenData]:
    """Ask for all settings but K; return them with the chosen data."""
    st.markdown("##### Training")
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
            "Device", DEVICES, "device", help_text="auto: the first CUDA device, otherwise the CPU."
        )
        is_deterministic = device != "cpu" and controls.yes(
            "Deterministic",
            "deterministic",
            help_text="A resumed run then gives bit-identical results to an uninterrupted one. Often slower;"
            " operators without a deterministic implementation are rejected. CPU runs always"
            " are deterministic.",
        )
        run_form.explain_device(device)
    data = ask_data(place, kind)
    own = _method_settings(method, notes)
    own |= controls.ask_cells(source, own, "is_tied") | run_form.ask_recipe(method, options().trust)
    run_form.offer_published(source.entry, method)
    if own["steps"]:
        st.caption(f"{own['steps']:,} steps (set below) take the place of the epochs.")
    values = {
        "allow_changed_training": notices.confirm_changed_training(),
        "epochs": epochs,
        "seed": seed,
        "device": device,
        "deterministic": is_deterministic,
        "batch_size": batch_size,
        "method": method.model_fields["name"].default,
    }
    return laid_over(values, own | data.values), data


def _method(kind: str) -> type[MethodSettings]:
    """Return the chosen method, of those that can search this kind of data."""
    table = {name: method for name, method in METHODS.items() if kind in method.data_kinds}
    return controls.choose_entry("Optimizer", table, "optimizer" if kind == "images" else f"optimizer.{kind}")


def _method_settings(method: type[MethodSettings], notes: dict[str, Any]) -> dict[str, Any]:
    """Ask for the settings of a method other than the target sparsity.

    Args:
        method: The method.
        notes: Receives by name a place below each field, for what its value comes to.
    """
    prefix = str(method.model_fields["name"].default)
    known = {name: field for name, field in method.fields().items() if name not in AMOUNT}
    first = [known[name] for name in FIRST if name in known]
    values = controls.ask_all(first, prefix, columns=len(first), notes=notes)
    with st.expander("Advanced optimizer settings", icon=":material/tune:"):
        rest = [field for name, field in known.items() if name not in FIRST]
        values |= controls.ask_all(rest, prefix, notes=notes)
        if "saliency" in values:
            score = SALIENCIES[values["saliency"]]
            st.caption(f"**{score.title}.** {score.summary} {score.caution}")
    base = values.get("base")
    run_form.explain_method(method, None if base is None else str(base), known.values())
    return values


def _preview(
    source: NetworkSource, space: SearchSpace, k: int, values: Mapping[str, Any], chosen: ChosenData
) -> None:
    """Show the segment graph, coloured by initial scores, with the K structures that would be removed."""
    view = graphs.segments_of(session.key_of(space), space)
    st.markdown("##### Preview")
    found = None
    if space.removable and chosen.problem is None:
        saliency = scores.choose("preview.saliency", values.get("saliency", "snip"))
        found = scores.scored(source, space, saliency, data=chosen.values, seed=values["seed"])
    overlay = Overlay()
    if found is not None:
        plan = space.plan(space.select(found, k))
        if k:
            plans.plan_metrics(plan)
        overlay = saliency_overlay(view, space, found) | plan_overlay(view, plan)
    protected = space.segments.vertices_of(space.protected)
    overlay |= state_overlay(view, protected, "protected")
    told = graphs.tell(view, space, "preview-graph")
    graphs.picture(view, key="preview-graph", overlay=overlay, about=told)
    if found is not None:
        st.caption(
            "Scores of one batch before training: dark is redundant, bright is important. Training"
            " changes the ranking."
        )


def _start(
    source: NetworkSource,
    space: SearchSpace,
    values: Mapping[str, Any],
    notes: Mapping[str, Any],
    form: DeltaGenerator,
) -> None:
    """Summarize the run in one line with the button that starts it, or say why it cannot be started."""
    try:
        settings = RunSettings.of(network=source, **session.space_settings(space), **values)
        with form:
            steps = _show_steps(settings, space, notes)
    except InvalidSettingError as error:
        st.error(inert(str(error)), icon=":material/error:")
        return
    if notices.changed_training() and not settings.allow_changed_training:
        st.info("Confirm **Train anyway** above, or choose another network.", icon=":material/info:")
        return
    st.markdown(f"**{inert(source.title)}** · {inert(settings_line(settings))}{steps}")
    if st.button("Start training", type="primary", icon=":material/play_arrow:", key="start"):
        # Before the run exists: a run created here counts as the user's own.
        jobs.require_trusted(settings)
        run = session.store().create(settings)
        jobs.start_run(run)
        session.open_run(run)
        st.rerun()


def _show_steps(settings: RunSettings, space: SearchSpace, notes: Mapping[str, Any]) -> str:
    """Show the steps of each phase, what settings come to, and goals that they cannot reach.

    Returns:
        The number of steps for a summary; empty if it is not known yet.
    """
    facts = FACTS.get(settings.data)
    if facts is None or not facts.num_train:
        st.caption("The number of steps is shown once the data are loaded.")
        return ""
    schedule = settings.schedule(facts.num_train)
    planned = settings.planned(schedule)
    parts = [f"{phase.num_steps} {phase.purpose}" for phase in planned.phases(schedule)]
    halves = ", each with one batch of either half" if planned.num_batches > 1 else ""
    what = f"Images are resized to {plain_shape(space.trace.inputs[0].shape)};"
    if facts.kind == "text":
        what = f"Windows of {facts.size} tokens, starting from a zero state;"
    st.caption(
        f"{schedule.total_steps} steps: {', '.join(parts)}{halves}."
        f" {what} {count(space.trace.macs)} MACs each."
    )
    for name, text in planned.notes(schedule).items():
        if name in notes:
            notes[name].caption(inert(text))
    for reason in planned.check(schedule):
        st.warning(inert(reason), icon=":material/warning:")
    return f" · {schedule.total_steps:,} steps"
