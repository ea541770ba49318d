"""The frame of every page: declaration, title, sidebar and error handling.

A page is a function in `nasviz.ui.pages`, declared by `Page`, and a script under pages/ that shows it. A deep
link into a newly started server runs that script only, so no page may depend on another script having run.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, cast

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.errors import ConsentNeededError, NasvizError
from nasviz.runs import UserImport
from nasviz.ui import address, consent, serving, session
from nasviz.ui.options import options
from nasviz.ui.parts import tour
from nasviz.ui.parts.escaping import inert
from nasviz.ui.parts.onnx_files import OnnxFile

__all__ = ["Page", "handle_errors", "head", "link", "next_steps", "pages", "show"]

P = ParamSpec("P")

ICON = Path(__file__).parent / "assets" / "icon.svg"

STYLE = """
[data-testid="stMain"]:has(.st-key-model-facts) { overflow-anchor: none; }
.stMainBlockContainer { padding: 2.2rem 3rem 4rem; max-width: 1700px; }
.stMainBlockContainer:has(.st-key-workspace-head) { padding: 0.5rem 1rem 2rem; max-width: none; }
[data-testid="stHeader"] { background: transparent; }
[data-testid="stLayoutWrapper"]:has(> .st-key-start-bar) { position: sticky; bottom: 0; z-index: 5; }
.st-key-start-bar { padding: 0.6rem 0; border-top: 1px solid #8886; }
.st-key-start-bar [data-testid="stMarkdownContainer"] { margin-bottom: 0; }
.st-key-workspace-head { padding-right: 2.2rem; row-gap: 0.3rem; }
.stApp:has([data-testid="stExpandSidebarButton"]) .st-key-workspace-head { padding-left: 2.6rem; }
.st-key-workspace-head h2 { font-size: 1.3rem; padding: 0; white-space: nowrap; }
.st-key-workspace-head [data-testid="stMarkdown"] p { line-height: 1; }
.st-key-workspace-head [data-testid="stMarkdownContainer"] { margin-bottom: 0; }
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
.st-key-start-bar { background: #12161c; }
button[kind^="primary"], button[kind^="primary"]:is(:hover, :focus, :active) { color: #0b1220; }
button[kind^="primary"]:disabled { color: inherit; }
[data-testid="stCode"] .token.keyword { color: #6cb6ff; }
"""
"""Button text and code keywords of Streamlit's dark theme are below that contrast, too."""
LIGHT_STYLE = """
.st-key-start-bar { background: #ffffff; }
[data-testid="stCode"] .token:is(.keyword, .boolean) { color: #00549b; }
[data-testid="stCode"] .token.string { color: #116329; }
[data-testid="stCode"] .token.comment { color: #57606a; }
"""
"""So are the code colours of the light theme."""


@dataclass(frozen=True, slots=True)
class Page:
    """Declaration of a page: decorate the function that draws it."""

    title: str
    position: int
    """Place in the sidebar, in workflow order."""
    icon: str
    invitation: str
    """Text of links to the page."""
    lead: str = ""
    """Sentence under the title."""
    group: str = ""
    is_workspace: bool = False
    """Whether a graph fills the window; the page then calls `head` in place of title and lead."""
    followed_by: tuple[str, ...] = ()
    """Titles of the pages that it links to at its end."""

    def __call__(self, body: Callable[[], None]) -> Callable[[], None]:
        """Declare `body` as this page; it then shows errors instead of raising them."""
        body = handle_errors(body)
        _declared[self.title] = self, body
        return body

    @property
    def script(self) -> str:
        """Path of the script that Streamlit runs."""
        return address.script_of(self.title)


_declared: dict[str, tuple[Page, Callable[[], None]]] = {}


@functools.cache
def pages() -> dict[str, Page]:
    """Return all pages by title, in workflow order: the declarations in `nasviz.ui.pages`."""
    from nasviz.ui import pages as room  # they import this module

    for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
        importlib.import_module(module.name)
    return {
        one.title: one for one in sorted((one for one, _ in _declared.values()), key=lambda one: one.position)
    }


def show(title: str) -> None:
    """Show a page from its first to its last element; the only statement of its script.

    Raises:
        KeyError: There is no page of this title.
    """
    shown = pages()[title]
    _open(shown)
    _declared[title][1]()
    if shown.followed_by:
        next_steps(*shown.followed_by)


def _open(shown: Page) -> None:
    """Set the page up and draw the sidebar."""
    title = shown.title
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
    if title != "Start" and not shown.is_workspace:
        st.header(title)
        st.caption(shown.lead)
    tour.box(title)
    if notice := session.current().notice:
        st.warning(notice, icon=":material/link_off:")
        session.current().notice = None
    address.write_link()


def head(title: str) -> DeltaGenerator:
    """Show the row at the top of a workspace page, which begins with the title; return it for controls."""
    row = st.container(key="workspace-head", horizontal=True, vertical_alignment="center", gap="small")
    row.header(title, width="content", anchor=False)
    row.markdown(
        "&nbsp;", help=pages()[title].lead, width="content"
    )  # in the header, it would be read with it
    return row


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
    target = pages()[title]
    st.page_link(target.script, label=label or title, icon=target.icon, query_params=address.link())


def next_steps(*titles: str) -> None:
    """Show links to the next pages, without training for view-only networks."""
    is_view_only = isinstance(session.current().source, OnnxFile)
    st.space("small")
    with st.container(horizontal=True, gap="large"):
        for title in titles:
            if not (is_view_only and title == "Search and train"):
                link(title, pages()[title].invitation)


def _sidebar() -> None:
    group = ""
    for one in pages().values():
        if one.group != group:
            group = one.group
            st.caption(group)
        link(one.title)
    st.space("small")
    st.caption("Current network")
    st.markdown("\n\n".join(session.summary()))
