"""Choice of the data set, its folder and the loss; downloads start only after a click."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from nasviz import jobs
from nasviz.catalog import CALLABLE, DATASETS, FACTS, DataFacts, Entry, NetworkSource, data_title
from nasviz.settings import LOSSES
from nasviz.ui import session
from nasviz.ui.options import options
from nasviz.ui.parts import controls, work
from nasviz.ui.parts.controls import keep, kept
from nasviz.ui.parts.escaping import inert

__all__ = ["ChosenData", "ask_data", "ask_folder", "kind_of"]

OWN = "own"
_OWN = {OWN: Entry(OWN, "Your Python code", "A function in a trusted folder.")}


@dataclass(frozen=True, slots=True)
class ChosenData:
    """Data settings of a run."""

    values: dict[str, Any]
    problem: str | None = None
    """What the user has to do before a run can start."""


def kind_of(source: NetworkSource) -> str:
    """Return the kind of input of a network according to the catalog, `images` or `text`."""
    return source.data_kind


def ask_data(place: DeltaGenerator, kind: str = "images") -> ChosenData:
    """Ask for the data set, its folder if needed, and a loss if there are trusted folders.

    Args:
        place: Container of the data set choice; the other fields follow below.
        kind: Kind of input of the network, `images` or `text`.
    """
    fitting = {name: entry for name, entry in DATASETS.items() if entry.family == kind}
    with place:
        own = _OWN if options().trust and kind == "images" else {}
        entry = controls.choose_entry("Data", fitting | own, "data" if kind == "images" else f"data.{kind}")
        if entry.family == "text":
            st.caption(entry.summary)
    values, problem = _own() if entry.name == OWN else _known(FACTS[entry.name])
    loss = (
        _text("Loss", "loss", "cross-entropy, mse, mae, network, or package.module:callable")
        if options().trust
        else ""
    )
    if loss:
        values["loss"] = loss
        problem = problem or (None if loss in LOSSES else _not_callable(loss))
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
    """Ask for the folder of a data set and offer its download; return the folder and its problem.

    Args:
        facts: Facts of the data set.
        key: Key of the text field.
        is_known: Whether the folder has been entered for another data set already.
    """
    if is_known:
        folder = str(kept(key, "")).strip()
    else:
        folder = _text("Data folder", key, "/data/images", "Path on the machine that runs this app.")
    title = data_title(facts.name)
    if not folder:
        st.caption(f"{title}: expects {facts.layout}.")
        return None, f"enter the folder of {title}"
    if (missing := _missing(facts, folder)) is None:
        return folder, None
    job = f"download {facts.name} {folder}"
    known = session.current().jobs
    if job in known:
        if work.shown(job, f"Downloading {title}", cache=known) is not None:
            del known[job]
            st.rerun()
        return folder, f"wait for the download of {title}"
    st.warning(f"{inert(missing)} {title} expects {facts.layout}.", icon=":material/folder_off:")
    if facts.download_mb and st.button(
        f"Download {facts.download_mb:,} MB into this folder",
        icon=":material/download:",
        key=f"{key}.{facts.name}",
    ):
        known[job] = jobs.submit(jobs.Download(data=facts.name, folder=Path(folder)))
        st.rerun()
    return folder, f"copy the files of {title} into the folder"


def _missing(facts: DataFacts, folder: str) -> str | None:
    """Describe missing files in one sentence; the worker verifies the content."""
    root = Path(folder).expanduser()
    try:
        if not root.is_dir():
            return f"The folder {folder} does not exist."
        found = facts.find_files(root)
    except (OSError, ValueError):
        return f"{folder} cannot be read."
    lost = [file for file in facts.files if file not in found]
    return f"{len(lost)} of {len(facts.files)} files are missing, e.g. {lost[0]}." if lost else None


def _own() -> tuple[dict[str, Any], str | None]:
    name = _text("Custom data", "data.own", "package.module:callable")
    folder = _text("Data folder", "data.own.folder", "none", "Passed to your function as `folder`.")
    st.caption(
        "A function that returns the training and the validation data: two torch data sets or loaders, or"
        " two pairs of tensors. It is imported in the worker process only, from"
        f" {inert(', '.join(options().trust))}."
    )
    return {"data": name, "data_folder": folder or None}, _not_callable(name)


def _not_callable(name: str) -> str | None:
    return None if CALLABLE.fullmatch(name) else "enter your function as package.module:callable"


def _text(title: str, key: str, placeholder: str, help_text: str | None = None) -> str:
    value: str = st.text_input(title, kept(key, ""), key=key, placeholder=placeholder, help=help_text)
    keep(key, value)
    return value.strip()
