"""The frame around every page: its title, the sidebar, and errors told in words.

Pages are plain scripts under pages/, and every one opens with `open_page`: a deep link into a server that has
just started runs that script alone, so nothing may depend on another one having run before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, cast

import streamlit as st

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.errors import ConsentNeededError, NasvizError
from nasviz.runs import UserImport
from nasviz.ui import address, consent, serving, session, tour
from nasviz.ui.onnx_files import OnnxFile
from nasviz.ui.options import options
from nasviz.ui.words import inert

__all__ = ["PAGES", "Page", "link", "next_steps", "open_page", "tell_errors"]

P = ParamSpec("P")

ICON = Path(__file__).parent / "assets" / "icon.svg"

STYLE = """
[data-testid="stMain"]:has(.st-key-model-facts) { overflow-anchor: none; }
.stMainBlockContainer { padding: 2.2rem 3rem 4rem; max-width: 1700px; }
@media (max-width: 640px) {
  .stMainBlockContainer { padding: 2.6rem 1rem 3rem; }
  [class*="st-key-facts-"] [data-testid="stColumn"] { min-width: calc(50% - 1rem); flex: 1 1 0; }
}
[data-testid="stSidebarHeader"] { height: 1.5rem; }
[data-testid="stSidebarUserContent"] { padding-top: 0; }
[data-testid="stMetricValue"] { font-variant-numeric: tabular-nums; font-size: 1.7rem; }
.st-key-exactness [data-testid="stMetricValue"] { font-size: 2.8rem; font-weight: 600; }
[class*="st-key-learn-step"][class*="-said"] h5 { font-size: 1.5rem; line-height: 1.35; }
[class*="st-key-learn-step"][class*="-said"] [data-testid="stCaptionContainer"] { font-size: 1.05rem; }
.st-key-learn-question h4 { font-size: 1.5rem; }
.st-key-learn-question p { font-size: 1.2rem; line-height: 1.5; }
[data-testid="stMetricLabel"] p { white-space: normal; }
[data-testid="stCaptionContainer"] { color: inherit; opacity: 0.76; }
"""
"""Room for graphs: Streamlit's own margins take a third of a projector's height. Captions that are read
easily: its own lie below a contrast of 4.5. And what is told above a form, such as an error, is seen: a
browser keeps the form where it was, and what comes in above it out of sight."""
DARK_STYLE = """
button[kind^="primary"], button[kind^="primary"]:is(:hover, :focus, :active) { color: #0b1220; }
button[kind^="primary"]:disabled { color: inherit; }
[data-testid="stCode"] .token.keyword { color: #6cb6ff; }
"""
"""White on the bright buttons of the dark, and its blue for keywords, lie below that contrast too."""
LIGHT_STYLE = """
[data-testid="stCode"] .token:is(.keyword, .boolean) { color: #00549b; }
[data-testid="stCode"] .token.string { color: #116329; }
[data-testid="stCode"] .token.comment { color: #57606a; }
"""
"""So do its colours for code in the light."""


@dataclass(frozen=True, slots=True)
class Page:
    """One line of the sidebar."""

    script: str
    title: str
    icon: str
    invitation: str
    """What a person does there, in a few words, for links."""
    lead: str
    """One sentence under the title."""
    group: str = ""


PAGES = {
    page.title: page
    for page in (
        Page("app.py", "Start", ":material/home:", "What this is", ""),
        Page(
            "pages/Model.py",
            "Model",
            ":material/deployed_code:",
            "Choose a network",
            "Choose a network, and see what it is.",
            group="Look",
        ),
        Page(
            "pages/Trace_graph.py",
            "Trace graph",
            ":material/account_tree:",
            "See every operator call",
            "Every operator call of the network, and the modules around them.",
            group="Look",
        ),
        Page(
            "pages/Segment_graph.py",
            "Segment graph",
            ":material/segment:",
            "See what could go",
            "Runs of operators that only go as a whole. Green ones could be erased; try it, nothing is lost.",
            group="Look",
        ),
        Page(
            "pages/Dependency_graph.py",
            "Dependency graph",
            ":material/hub:",
            "See what goes with it",
            "What each operator does to channels, and every slice of a tensor that goes with a structure.",
            group="Look",
        ),
        Page(
            "pages/Search_and_train.py",
            "Search and train",
            ":material/model_training:",
            "Train it down to K",
            "Choose how many structures shall go, train on real data, and watch the redundant ones fade.",
            group="Do",
        ),
        Page(
            "pages/Sub-network.py",
            "Sub-network",
            ":material/content_cut:",
            "See what is left, and how exactly",
            "The full network and the sub-network cut out of it, side by side.",
            group="Do",
        ),
        Page(
            "pages/Export.py",
            "Export",
            ":material/download:",
            "Take it home",
            "Take the sub-network home. Every file is read again and checked before it is offered.",
            group="Do",
        ),
        Page(
            "pages/Runs.py",
            "Runs",
            ":material/history:",
            "See all runs",
            "Runs and sweeps of this place: watch, compare and continue them, or train a whole grid.",
            group="Do",
        ),
        Page(
            "pages/Learn.py",
            "Learn",
            ":material/school:",
            "Understand how it works",
            "The algorithms step by step, on the network that is open, told by the code that does the work.",
            group="Understand",
        ),
    )
}
"""In the order in which a person works."""


def open_page(title: str) -> None:
    """Set the page up and draw the sidebar; the first statement of every page.

    Raises:
        KeyError: `PAGES` holds no such title.
    """
    page = PAGES[title]
    st.set_page_config(f"{title} · nasviz", page_icon=str(ICON), layout="wide", initial_sidebar_state=260)
    st.html(f"<style>{STYLE}{DARK_STYLE if st.context.theme.type == 'dark' else LIGHT_STYLE}</style>")
    try:
        serving.require_gate()
        jobs.trust_only(options().trust, options().runs, consent.require)
    except NasvizError as error:
        st.error(f"The app cannot be used as it was started: {error}")
        st.stop()
    jobs.warm()
    address.read_link()
    with st.sidebar:
        _sidebar()
    if title != "Start":
        st.header(title)
        st.caption(page.lead)
    tour.box(title)
    if notice := session.current().notice:
        st.warning(notice, icon=":material/link_off:")
        session.current().notice = None
    address.write_link()


def tell_errors(body: Callable[P, None]) -> Callable[P, None]:
    """Let a part of a page end with its error in words, or with a question, instead of a traceback."""

    @functools.wraps(body)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            body(*args, **kwargs)
        except ConsentNeededError as error:
            consent.ask(cast("NetworkSource | UserImport", error.asked))
        except NasvizError as error:
            st.error(inert(str(error)), icon=":material/error:")

    return told


def link(title: str, label: str | None = None) -> None:
    """A link to another page that carries the permalink along."""
    page = PAGES[title]
    st.page_link(page.script, label=label or title, icon=page.icon, query_params=address.link())


def next_steps(*titles: str) -> None:
    """Links to where a person goes from here, at the end of a page; nowhere that the network cannot go."""
    is_view_only = isinstance(session.current().source, OnnxFile)
    st.space("small")
    with st.container(horizontal=True, gap="large"):
        for title in titles:
            if not (is_view_only and title == "Search and train"):
                link(title, PAGES[title].invitation)


def _sidebar() -> None:
    group = ""
    for page in PAGES.values():
        if page.group != group:
            group = page.group
            st.caption(group)
        link(page.title)
    st.space("small")
    st.caption("Open now")
    st.markdown("\n\n".join(session.summary()))
