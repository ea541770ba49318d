"""Form for a new sweep: a custom grid, a published table or a search for mu, with its estimated cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.catalog import FACTS, PRESETS, SALIENCIES, Preset, step_saliencies
from nasviz.errors import NasvizError
from nasviz.runs import (
    Axis,
    BisectionSettings,
    Point,
    SweepSettings,
    axis,
    expand,
    not_printed,
    parse_axis,
    preset_sweep,
    what_differs,
)
from nasviz.runs.estimating import estimate
from nasviz.runs.presets import STAND_IN, data_name
from nasviz.settings import METHODS, RunSettings, methods_with
from nasviz.ui import session
from nasviz.ui.parts import controls, notices
from nasviz.ui.parts.controls import keep, kept
from nasviz.ui.parts.data import ask_data, ask_folder, kind_of
from nasviz.ui.parts.escaping import inert
from nasviz.ui.parts.published import printed_accuracy

__all__ = ["new_sweep"]

MU_FIRST = ("groups", "lr", "normalisation", "rho", "adaptive", "beta")
"""Settings of GSparsity that a search for mu always shows."""
WAYS = ("Custom grid", "Published table", "Search for mu")


def new_sweep() -> None:
    """Ask for a sweep, show its estimated cost and start it."""
    way = st.radio("Kind of sweep", WAYS, horizontal=True, key="form.way", label_visibility="collapsed")
    left, right = st.columns([1.3, 1], gap="large")
    try:
        with left:
            settings = FORMS[way]()
        if settings is not None:
            with right:
                _start(settings)
    except NasvizError as error:
        st.error(inert(str(error)), icon=":material/error:")


def _preset() -> SweepSettings | None:
    name = st.selectbox("Table", list(PRESETS), format_func=lambda n: PRESETS[n].title, key="form.preset")
    preset = PRESETS[name]
    st.caption(f"{preset.document}, {preset.table}; {preset.data}. " + " ".join(preset.notes))
    stand_in = st.radio(
        "Data",
        ("digits", "published"),
        format_func=lambda d: f"Digits instead of {preset.data}" if d == STAND_IN else preset.data,
        horizontal=True,
        key="form.data",
    )
    folder = problem = None
    if stand_in == "published":
        folder, problem = _published_folder(preset)
    first, second, third = st.columns(3)
    epochs = first.number_input(
        "Epochs", 1, 10**6, None, placeholder="as in the preset", key=f"form.epochs.{name}.{stand_in}"
    )
    seeds = int(second.number_input("Seeds", 1, 100, len(preset.seeds), key=f"form.seeds.{name}"))
    device = third.selectbox("Device", ("auto", "cpu"), key="form.device")
    changes = {"device": device} | ({} if epochs is None else {"epochs": int(epochs)})
    settings = None
    if problem is None:
        settings = preset_sweep(
            preset, data=stand_in, data_folder=folder, changes=changes, axes=(axis("seed", range(seeds)),)
        )
        st.caption(f"{what_differs(preset, settings)} {not_printed(preset, settings)}")
    else:
        st.info(f"Before training: {problem}.", icon=":material/info:")
    rows = [{"row": row.label, "published accuracy": printed_accuracy(row.printed)} for row in preset.rows]
    st.dataframe(rows, hide_index=True)
    return settings


def _published_folder(preset: Preset) -> tuple[str | None, str | None]:
    """Ask for the folder of the published data, which may be several data sets; return it and its problem."""
    folder = problem = None
    names = dict.fromkeys(row.data or preset.data for row in preset.rows)
    for number, name in enumerate(names):
        facts = FACTS[data_name(name)]
        folder, found = ask_folder(facts, "form.folder", is_known=number > 0)
        problem = problem or found
    return folder, problem


def _grid() -> SweepSettings | None:
    source = notices.trainable_network()
    if source is None:
        return None
    space, name, kind = session.space(), session.title(source), kind_of(source)
    optimizers = st.multiselect(
        "Optimizers",
        [method for method in METHODS if kind in METHODS[method].data_kinds],
        list(METHODS)[:1] if kind == "images" else None,
        format_func=lambda n: METHODS[n].title,
        key=f"form.opt.{kind}",
    )
    chosen: dict[str, Sequence[Any]] = {}
    if any(METHODS[method].has("target_sparsity") for method in optimizers):
        limit, total = space.max_sparsity, len(space.removable)
        st.caption(f"Network: **{inert(name)}**, the current one. The maximum K is {limit} of {total}.")
        chosen["target_sparsity"] = st.multiselect(
            "K: structures to remove",
            list(range(total + 1)),
            sorted({min(1, limit), max(min(1, limit), limit // 2), limit}),
            key=f"form.k.{source}.{space.collapse}",
        )
    else:
        st.caption(f"Network: **{inert(name)}**, the current one. No chosen optimizer has a target sparsity.")
    if any(METHODS[method].has("saliency") for method in optimizers):
        chosen["saliency"] = st.multiselect(
            "Saliencies",
            list(step_saliencies()),
            ["snip"],
            format_func=lambda n: SALIENCIES[n].title,
            key="form.saliency",
        )
    first, second, third = st.columns(3)
    seeds = int(first.number_input("Seeds", 1, 100, kept("form.seeds", 3), key="form.own.seeds"))
    epochs = int(second.number_input("Epochs", 1, 10**6, kept("epochs", 4), key="form.own.epochs"))
    data = ask_data(third, kind)
    more = st.text_area(
        "More axes, one per line",
        key="form.more",
        placeholder="lr=0.05,0.1\nset.width=0.25,0.5\ncells=none,SearchCell",
        help="Any setting of a run: NAME=VALUE,VALUE; integers also as a range, 0..4; several names in one"
        " value joined by +, or none.",
        height=90,
    )
    keep("form.seeds", seeds)
    constraints = session.space_settings(space)
    constraints["allow_changed_training"] = notices.confirm_changed_training()
    if data.problem is not None:
        st.info(f"Before training: {data.problem}.", icon=":material/info:")
        return None
    axes: list[Axis] = [parse_axis(line.strip()) for line in more.splitlines() if line.strip()]
    needed = {"optimizers": optimizers} | chosen
    if empty := [n for n, values in needed.items() if not values]:
        st.info(f"Choose at least one value of {', '.join(empty)}.", icon=":material/info:")
        return None
    base = RunSettings.of(network=source, method=optimizers[0], epochs=epochs, **data.values, **constraints)
    own = tuple(point for method in optimizers for point in _points(method, chosen))
    return SweepSettings(
        base, (own, *axes, axis("seed", range(seeds))), f"{name}: {', '.join(_varied(own))}, seed"
    )


def _varied(points: Sequence[Point]) -> list[str]:
    """Return what the points vary, as words of a title."""
    words = {"method": "optimizer", "target_sparsity": "K", "saliency": "saliency"}
    return [word for name, word in words.items() if any(name in point for point in points)]


def _points(method: str, chosen: Mapping[str, Sequence[Any]]) -> tuple[Point, ...]:
    """Return all combinations of the choices that the method has settings for."""
    axes = [axis(name, values) for name, values in chosen.items() if METHODS[method].has(name)]
    return tuple({"method": method} | dict(point) for point in expand(axes))


def _bisection() -> SweepSettings | None:
    """Ask for a search for the mu with which GSparsity keeps a given number of groups."""
    source = notices.trainable_network()
    if source is None:
        return None
    name = session.title(source)
    st.caption(
        f"Network: **{name}**, the current one. GSparsity trains it on a coarse grid of mu until at most the"
        " target number of groups remains, then bisects between the last two values. A larger mu keeps fewer"
        " groups."
    )
    method = METHODS[methods_with("mu")[0]]
    fields = method.fields()
    values = controls.ask_all([fields[name] for name in MU_FIRST], "form.mu", columns=3)
    first, second, third = st.columns(3, vertical_alignment="bottom")
    target = int(first.number_input("Remaining groups", 0, 10**6, 4, key="form.survivors"))
    trials = int(second.number_input("Maximum runs", 1, 100, 10, key="form.trials"))
    grid = third.text_input("Coarse grid of mu", "0.01, 0.1, 1, 10", key="form.mu.grid")
    first, second, third = st.columns(3)
    epochs = int(first.number_input("Epochs", 1, 10**6, kept("epochs", 4), key="form.own.epochs"))
    batch_size = int(second.number_input("Batch size", 1, 65_536, kept("batch_size", 64), key="form.batch"))
    data = ask_data(third, kind_of(source))
    with st.expander("Advanced optimizer settings", icon=":material/tune:"):
        rest = [field for name, field in fields.items() if name not in (*MU_FIRST, "mu", "max_zeros")]
        values |= controls.ask_all(rest, "form.mu") | {"max_zeros": 1.0}  # mu alone decides how many go
    values |= controls.ask_cells(source, values, "form.mu.is_tied")
    space = session.space()
    constraints = session.space_settings(space)
    constraints["allow_changed_training"] = notices.confirm_changed_training()
    if data.problem is not None:
        st.info(f"Before training: {data.problem}.", icon=":material/info:")
        return None
    base = RunSettings.of(
        network=source,
        epochs=epochs,
        batch_size=batch_size,
        method=method.model_fields["name"].default,
        **values,
        **data.values,
        **constraints,
    )
    try:
        coarse = tuple(float(part) for part in grid.split(","))
    except ValueError:
        st.error(f"Enter comma-separated numbers, e.g. 0.1, 1, 10; got {grid!r}", icon=":material/error:")
        return None
    title = f"{name}: mu for {target} {values['groups']}"
    return SweepSettings(base, title=title, bisection=BisectionSettings(target, coarse, trials))


FORMS = dict(zip(WAYS, (_grid, _preset, _bisection), strict=True))


def _start(settings: SweepSettings) -> None:
    if settings.bisection is not None:
        _start_bisection(settings, settings.bisection)
        return
    slots = jobs.slots_of(settings)
    at_once = st.number_input("Parallel runs", 1, 256, len(slots), key="form.slots")
    found = estimate(settings, session.store())
    st.metric("Runs", f"{found.num_runs}")
    seconds = found.seconds / min(at_once, max(1, found.num_runs))
    known = found.num_runs - found.num_unknown
    words = "time unknown: no similar run has finished yet" if not known else f"about {_duration(seconds)}"
    basis = "timed on this machine" if found.num_timed == found.num_runs else "rough estimate from MACs"
    if found.num_unknown and known:
        basis += f"; without {found.num_unknown} runs"
    st.markdown(f"{found.num_steps:,} steps in total, **{words}**" + (f" ({basis})." if known else "."))
    places = ", ".join(slot.name for slot in slots[:6]) + (" …" if len(slots) > 6 else "")
    st.caption(f"Slots of this machine: {places}. The sweep can be stopped and resumed at any time.")
    stops = st.checkbox(
        "Stop unpromising runs early",
        False,
        key="form.hopeless",
        help="Median stopping: from half of its steps on, a run is stopped if its best accuracy is below the"
        " median of the runs with the same network and K. Late improvements are lost.",
    )
    settings = replace(settings, stop_hopeless=stops)
    if st.button(
        f"Start {found.num_runs} runs", type="primary", icon=":material/play_arrow:", key="form.start"
    ):
        _begin(settings, int(at_once))


def _start_bisection(settings: SweepSettings, search: BisectionSettings) -> None:
    found = estimate(settings, session.store())
    st.metric("Sequential runs", f"at most {search.most_trials}")
    steps = found.num_steps * search.most_trials
    known = f", at most {_duration(found.seconds * search.most_trials)}" if not found.num_unknown else ""
    st.markdown(f"At most {steps:,} steps in total{known}.")
    facts, base = FACTS.get(settings.base.data), settings.base
    if facts is not None and facts.num_train:
        schedule = base.schedule(facts.num_train)
        planned = base.planned(schedule)
        for text in planned.notes(schedule).values():
            st.caption(f"Each run: {inert(text)}.")
        for reason in planned.check(schedule):
            st.warning(inert(reason), icon=":material/warning:")
    st.caption("The search can be stopped and resumed at any time.")
    if st.button("Start search", type="primary", icon=":material/play_arrow:", key="form.start"):
        _begin(settings, 1)


def _begin(settings: SweepSettings, slots: int) -> None:
    """Start a sweep and show it."""
    for run in settings.runs:
        jobs.require_trusted(run)
    sweep = session.sweeps().create(settings)
    jobs.start_sweep(sweep, slots=slots)
    keep("sweep", sweep.id)
    keep("runs.view", "Sweeps")
    keep("runs.turns", kept("runs.turns", 0) + 1)
    st.rerun()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
