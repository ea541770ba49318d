"""The frame of every page: title, sidebar and error handling.

Pages are plain scripts under pages/, and each begins with `open_page`. A deep link into a newly started
server runs that script only, so no page may depend on another script having run before.
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
from nasviz.ui import address, consent, serving, session
from nasviz.ui.options import options
from nasviz.ui.parts import tour
from nasviz.ui.parts.escaping import inert
from nasviz.ui.parts.onnx_files import OnnxFile

__all__ = ["PAGES", "Page", "handle_errors", "link", "next_steps", "open_page"]

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
"""Smaller margins leave room for graphs. Streamlit's captions are below a contrast of 4.5 (WCAG AA). Scroll
anchoring is off where an error can appear above a form, which would otherwise stay in place and hide it."""
DARK_STYLE = """
button[kind^="primary"], button[kind^="primary"]:is(:hover, :focus, :active) { color: #0b1220; }
button[kind^="primary"]:disabled { color: inherit; }
[data-testid="stCode"] .token.keyword { color: #6cb6ff; }
"""
"""Button text and code keywords of Streamlit's dark theme are below that contrast, too."""
LIGHT_STYLE = """
[data-testid="stCode"] .token:is(.keyword, .boolean) { color: #00549b; }
[data-testid="stCode"] .token.string { color: #116329; }
[data-testid="stCode"] .token.comment { color: #57606a; }
"""
"""So are the code colours of the light theme."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the sidebar."""

    script: str
    title: str
    icon: str
    invitation: str
    """Text of links to the page."""
    lead: str
    """Sentence under the title."""
    group: str = ""


PAGES = {
    page.title: page
    for page in (
        Page("app.py", "Start", ":material/home:", "Overview", ""),
        Page(
            "pages/Model.py",
            "Model",
            ":material/deployed_code:",
            "Choose a network",
            "Choose a network and view its properties.",
            group="Analyze",
        ),
        Page(
            "pages/Trace_graph.py",
            "Trace graph",
            ":material/account_tree:",
            "View all operators",
            "Every operator call of the network, grouped by module.",
            group="Analyze",
        ),
        Page(
            "pages/Segment_graph.py",
            "Segment graph",
            ":material/segment:",
            "Find removable structures",
            "Segments are runs of operators that are erased as a whole. Removable ones are green.",
            group="Analyze",
        ),
        Page(
            "pages/Dependency_graph.py",
            "Dependency graph",
            ":material/hub:",
            "View dependencies",
            "The role of each operator for channels, and all tensor slices that depend on a structure.",
            group="Analyze",
        ),
        Page(
            "pages/Search_and_train.py",
            "Search and train",
            ":material/model_training:",
            "Start a search",
            "Set the target sparsity, train, and watch redundant structures become zero.",
            group="Search",
        ),
        Page(
            "pages/Sub-network.py",
            "Sub-network",
            ":material/content_cut:",
            "View the sub-network",
            "The full network and the constructed sub-network, side by side.",
            group="Search",
        ),
        Page(
            "pages/Export.py",
            "Export",
            ":material/download:",
            "Export the sub-network",
            "Download the sub-network. Every file is read back and verified first.",
            group="Search",
        ),
        Page(
            "pages/Runs.py",
            "Runs",
            ":material/history:",
            "View all runs",
            "Monitor, compare and continue runs and sweeps, or start a new sweep.",
            group="Search",
        ),
        Page(
            "pages/Learn.py",
            "Learn",
            ":material/school:",
            "Learn how it works",
            "The algorithms step by step on the current network, computed by the library code.",
            group="Tutorials",
        ),
    )
}
"""Pages by title, in workflow order."""


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
        st.error(f"Invalid start of the app: {error}")
        st.stop()
    jobs.warm_up()
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


def handle_errors(body: Callable[P, None]) -> Callable[P, None]:
    """Decorate a part of a page to show an error message or a consent dialog instead of a traceback."""

    @functools.wraps(body)
    def handled(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            body(*args, **kwargs)
        except ConsentNeededError as error:
            consent.ask(cast("NetworkSource | UserImport", error.asked))
        except NasvizError as error:
            st.error(inert(str(error)), icon=":material/error:")

    return handled


def link(title: str, label: str | None = None) -> None:
    """Show a link to another page that keeps the permalink."""
    page = PAGES[title]
    st.page_link(page.script, label=label or title, icon=page.icon, query_params=address.link())


def next_steps(*titles: str) -> None:
    """Show links to the next pages, without training for view-only networks."""
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
    st.caption("Current network")
    st.markdown("\n\n".join(session.summary()))
