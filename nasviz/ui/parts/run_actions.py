"""Actions on listed runs: open, resume, duplicate, label, delete and restore."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.draw.labels import settings_line
from nasviz.errors import NasvizError
from nasviz.runs import Labels, Run, RunSettings, RunSummary, continue_run, parse_axis
from nasviz.runs.grid import settings_of
from nasviz.settings import laid_over
from nasviz.ui import address, session
from nasviz.ui.parts import run_facts
from nasviz.ui.parts.controls import keep, kept
from nasviz.ui.parts.escaping import inert

__all__ = ["actions", "actions_on_all", "edit_labels", "offer_undo", "open_run", "trash"]


def actions(summary: RunSummary, title: str) -> None:
    """Show the buttons for one run."""
    run = session.store().open(summary.id)
    state = run_facts.state_of(run)
    st.markdown(f"**{inert(title)}** {run_facts.badge(state)}")
    if summary.labels.note:
        st.text(summary.labels.note)
    with st.container(horizontal=True):
        if st.button("Open run", type="primary", icon=":material/open_in_full:"):
            open_run(summary, "Search and train")
        has_subnet = state == "done" and not summary.is_invalid
        if has_subnet and st.button("Sub-network", icon=":material/content_cut:"):
            open_run(summary, "Sub-network")
        is_watched = summary.settings is not None and summary.settings.is_watched
        if (
            state in run_facts.AT_WORK
            and run_facts.obeys(run)
            and st.button("Cancel", icon=":material/stop:")
        ):
            with st.spinner("Cancelling …"):
                jobs.cancel_run(run, wait_s=5)
            st.rerun()
        if (
            state in run_facts.RESUMABLE
            and not is_watched
            and st.button("Resume", icon=":material/play_arrow:")
        ):
            jobs.start_run(run)
            st.rerun()
        if state == "done" and summary.settings is not None and not is_watched:
            with st.popover("Continue", icon=":material/forward:"):
                _continue(run, summary.settings)
        if summary.settings is not None and not is_watched:
            with st.popover("Duplicate", icon=":material/content_copy:"):
                _duplicate(run, summary.settings)
        with st.popover("Label", icon=":material/label:"):
            labels = edit_labels(summary.labels, f"run.{summary.id}")
            if labels is not None:
                run.write_labels(labels)
                st.rerun()
        if state not in run_facts.AT_WORK:
            _delete([summary])


def actions_on_all(summaries: Sequence[RunSummary]) -> None:
    """Show the buttons for several runs."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{len(summaries)} runs**")
        if all(summary.state not in run_facts.AT_WORK for summary in summaries):
            _delete(summaries)


def open_run(summary: RunSummary, page: str) -> None:
    """Make a run and its network current, with its collapsed modules, and go to a page."""
    if summary.settings is not None:
        session.adopt(summary.settings)
    session.current().run_id = summary.id
    st.switch_page(address.script_of(page), query_params=address.link())


def edit_labels(labels: Labels, key: str) -> Labels | None:
    """Show a form for name, tags and note; return the new labels once they are saved."""
    with st.form(f"labels.{key}", border=False):
        name = st.text_input("Name", labels.name, key=f"name.{key}", placeholder="shown in lists")
        tags = st.text_input("Tags", ", ".join(labels.tags), key=f"tags.{key}", placeholder="paper, baseline")
        note = st.text_area("Note", labels.note, key=f"note.{key}")
        if not st.form_submit_button("Save", icon=":material/save:"):
            return None
    found = dict.fromkeys(tag.strip() for tag in tags.split(",") if tag.strip())
    try:
        return Labels(name.strip(), tuple(found), note)
    except NasvizError as error:
        st.error(inert(str(error)))
        return None


def offer_undo() -> None:
    """Offer to restore the runs that were deleted last."""
    names: tuple[str, ...] = kept("runs.deleted", ())
    if not names:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        what = f"{len(names)} runs were" if len(names) > 1 else "One run was"
        st.markdown(f":material/delete: {what} moved to the trash.")
        if st.button("Undo", icon=":material/undo:", key="undo"):
            for name in names:
                session.store().restore(name)
            keep("runs.deleted", ())
            st.rerun()
        if st.button("Dismiss", type="tertiary", key="dismiss"):
            keep("runs.deleted", ())
            st.rerun()


def trash() -> None:
    """Show deleted runs and sweeps, to be restored or deleted permanently."""
    store, sweeps = session.store(), session.sweeps()
    for sweep_id in sweeps.trash():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"Sweep `{sweep_id}` with its runs")
            if st.button("Restore", key=f"back.{sweep_id}", icon=":material/undo:"):
                sweeps.restore(sweep_id)
                st.rerun()
    found = store.trash()
    if not found:
        st.info("No deleted runs.", icon=":material/info:")
        return
    names = {s.id: f"{s.id} · {settings_line(s.settings) if s.settings else s.problem}" for s in found}
    chosen = st.multiselect("Deleted runs", list(names), format_func=names.__getitem__, key="trash.chosen")
    with st.container(horizontal=True):
        if st.button("Restore", icon=":material/undo:", disabled=not chosen, key="trash.back"):
            for name in chosen:
                store.restore(name)
            st.rerun()
        with st.popover("Delete permanently", icon=":material/delete_forever:", disabled=not chosen):
            st.write(f"{len(chosen)} of {len(found)} runs and all their records will be deleted.")
            if st.button("Confirm deletion", key="erase"):
                for name in chosen:
                    store.erase(name)
                st.rerun()


def _delete(summaries: Sequence[RunSummary]) -> None:
    with st.popover("Delete", icon=":material/delete:"):
        st.write("Deleted runs are moved to the folder .trash and can be restored.")
        if st.button("Delete run" if len(summaries) == 1 else f"Delete {len(summaries)} runs", key="delete"):
            names = []
            for summary in summaries:
                names.append(session.store().delete(summary.id).name)
                session.forget_run(summary.id)
            keep("runs.deleted", tuple(names))
            keep("runs.chosen", ())
            st.rerun()


def _continue(run: Run, settings: RunSettings) -> None:
    """Ask for the settings of a run that continues this one, and start it."""
    st.caption(
        "Starts a new run from the end of this one: weights, momentum and zeros are kept, and the"
        " learning-rate schedule restarts. This run is not changed."
    )
    epochs = int(st.number_input("Additional epochs", 0, 10**6, settings.epochs, key="more.epochs"))
    lr = st.number_input("Learning rate", value=settings.method.lr, format="%g", key="more.lr")
    if st.button("Continue training", type="primary", icon=":material/play_arrow:", key="more.start"):
        jobs.require_trusted(settings)  # before the run is created
        try:
            continued = continue_run(session.store(), run, epochs, lr=lr)
        except NasvizError as error:
            st.error(inert(str(error)))
            return
        jobs.start_run(continued)
        keep("runs.states", ())
        st.rerun()


def _duplicate(origin: Run, settings: RunSettings) -> None:
    """Ask for changed settings, and start a new run with them."""
    left, right = st.columns(2)
    changes: dict[str, Any] = {
        **_length(right, settings),
        "seed": left.number_input("Seed", 0, 2**32 - 1, settings.seed, key="dup.seed"),
        "lr": right.number_input("Learning rate", value=settings.method.lr, format="%g", key="dup.lr"),
    }
    if settings.method.has("target_sparsity"):
        known = str(settings.value("target_sparsity"))
        changes["target_sparsity"] = _sparsity(left.text_input("K", known, key="dup.k"))
    more = st.text_input("Other settings", placeholder="epochs=8 batch_size=128", key="dup.more")
    changes |= {"trained_epochs": 0, "trained_steps": 0}
    if st.button("Start duplicate", type="primary", icon=":material/play_arrow:", key="dup.start"):
        try:
            for word in more.split():
                (point,) = parse_axis(word)
                changes = laid_over(changes, point)
            copied = settings_of(settings, changes)
        except (NasvizError, ValueError) as error:
            st.error(inert(str(error)))
            return
        jobs.require_trusted(copied)  # before the run is created
        jobs.start_run(session.store().create(copied, taken_from=origin))
        keep("runs.states", ())
        st.rerun()


def _length(place: Any, settings: RunSettings) -> dict[str, Any]:
    """Ask for the length of a run, in steps where it has them."""
    if settings.steps:
        return {"steps": place.number_input("Steps", 1, 10**9, settings.steps, key="dup.steps")}
    return {"epochs": place.number_input("Epochs", 0, 10**6, settings.epochs, key="dup.epochs")}


def _sparsity(text: str) -> int | float | str:
    """Parse K as a count or a fraction; other text is rejected by the check of the settings."""
    try:
        return int(text) if text.strip().isdecimal() else float(text)
    except ValueError:
        return text
