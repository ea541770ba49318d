"""The choice of the data: what a run learns, where it lies, and the loss; a download only after a click."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from nasviz import jobs
from nasviz.catalog import CALLABLE, DATASETS, FACTS, DataFacts, Entry, NetworkSource, data_title
from nasviz.ui import controls, session, work
from nasviz.ui.controls import keep, kept
from nasviz.ui.options import options
from nasviz.ui.words import inert

__all__ = ["ChosenData", "ask_data", "ask_folder", "kind_of"]

OWN = "own"
_OWN = {OWN: Entry(OWN, "Your own Python", "A function out of a folder that the operator trusts.")}


@dataclass(frozen=True, slots=True)
class ChosenData:
    """Settings of a run about its data."""

    values: dict[str, Any]
    problem: str | None = None
    """What has to be done before a run can start."""


def kind_of(source: NetworkSource) -> str:
    """What a network reads, `images` or `text`, as far as the catalog knows."""
    return "text" if source.entry is not None and source.entry.family == "text" else "images"


def ask_data(place: DeltaGenerator, kind: str = "images") -> ChosenData:
    """Ask for the data in `place`, and below for what they need; for a loss where Python is trusted.

    Args:
        place: Where the choice is shown.
        kind: `images` or `text`: what the network reads.
    """
    fitting = {name: entry for name, entry in DATASETS.items() if entry.family == kind}
    with place:
        own = _OWN if options().trust and kind == "images" else {}
        entry = controls.choose_entry("Data", fitting | own, "data" if kind == "images" else f"data.{kind}")
        if entry.family == "text":
            st.caption(entry.summary)
    values, problem = _own() if entry.name == OWN else _known(FACTS[entry.name])
    loss = _text("Own loss", "loss", "cross-entropy, or package.module:callable") if options().trust else ""
    if loss:
        values["loss"] = loss
        problem = problem or _not_callable(loss)
    if entry.name == OWN or loss:
        values["trust"] = options().trust
    return ChosenData(values, problem)


def _known(facts: DataFacts) -> tuple[dict[str, Any], str | None]:
    values: dict[str, Any] = {"data": facts.name}
    if not facts.needs_folder:
        return values, None
    folder, problem = ask_folder(facts, "data.folder")
    return values | {"data_folder": folder}, problem


def ask_folder(facts: DataFacts, key: str, *, is_known: bool = False) -> tuple[str | None, str | None]:
    """The folder that a data set lies in, and what is wrong with it; offers a download where there is one.

    Args:
        facts: Of the data set.
        key: Of the control.
        is_known: The folder was asked for already: another data set lies in it, too.
    """
    if is_known:
        folder = str(kept(key, "")).strip()
    else:
        folder = _text("Folder of the data", key, "/data/images", "On the machine that runs this app.")
    title = data_title(facts.name)
    if not folder:
        st.caption(f"{title} is read from a folder with {facts.layout}.")
        return None, f"name the folder of {title}"
    if (missing := _missing(facts, folder)) is None:
        return folder, None
    job = f"download {facts.name} {folder}"
    known = session.current().jobs
    if job in known:
        if work.shown(job, f"Downloading {title}", cache=known) is not None:
            del known[job]
            st.rerun()
        return folder, f"wait for {title}"
    st.warning(f"{inert(missing)} A folder of {title} has {facts.layout}.", icon=":material/folder_off:")
    if facts.download_mb and st.button(
        f"Download {facts.download_mb:,} MB into this folder",
        icon=":material/download:",
        key=f"{key}.{facts.name}",
    ):
        known[job] = jobs.download(facts.name, folder)
        st.rerun()
    return folder, f"bring the files of {title} into the folder"


def _missing(facts: DataFacts, folder: str) -> str | None:
    """What is not there, in one sentence; whether what is there is right, the worker finds out."""
    root = Path(folder).expanduser()
    try:
        if not root.is_dir():
            return f"There is no folder {folder}."
        lost = [file for file in facts.files if not (root / file).is_file()]
    except (OSError, ValueError):
        return f"{folder} cannot be read."
    return f"{len(lost)} of {len(facts.files)} files are missing, the first is {lost[0]}." if lost else None


def _own() -> tuple[dict[str, Any], str | None]:
    name = _text("Own data", "data.own", "package.module:callable")
    folder = _text("Folder of the data", "data.own.folder", "none", "Handed to your function as `folder`.")
    st.caption(
        "A function that returns what to learn from and what to judge by: two data sets of torch, or two"
        f" pairs of tensors. It is imported in the worker only, from {inert(', '.join(options().trust))}."
    )
    return {"data": name, "data_folder": folder or None}, _not_callable(name)


def _not_callable(name: str) -> str | None:
    return None if CALLABLE.fullmatch(name) else "name your function as package.module:callable"


def _text(title: str, key: str, placeholder: str, help_text: str | None = None) -> str:
    value: str = st.text_input(title, kept(key, ""), key=key, placeholder=placeholder, help=help_text)
    keep(key, value)
    return value.strip()
