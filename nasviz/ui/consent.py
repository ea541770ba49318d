"""Consent of the user before their Python is imported or a network of unusual size is traced.

Addresses, runs and other tabs only name networks. A session may import what the operator listed with
`--open`, and what the user has confirmed on a panel that shows the files. `jobs.trust_only` calls `require`
before every child process and every start of a run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from nasviz.catalog import CALLABLE, NetworkSource, is_modest
from nasviz.catalog.user_modules import UserModule, find_module
from nasviz.draw.labels import plain_shape
from nasviz.errors import ConsentNeededError, NasvizError
from nasviz.runs import UserImport
from nasviz.ui import session
from nasviz.ui.options import options
from nasviz.ui.parts.escaping import inert

__all__ = ["ask", "is_agreed", "require"]

LONGEST_EXCERPT = 80
"""Maximum number of lines shown of a definition."""
LARGEST_FILE = 1_000_000
FALLBACK = NetworkSource("demonet")


def require(asked: NetworkSource | UserImport) -> None:
    """Check that the user or the operator has agreed to a network or an import.

    Raises:
        ConsentNeededError: Neither has agreed; `ask` shows the panel.
    """
    # Without a script run there is no session that could hold a consent.
    if get_script_run_ctx(suppress_warning=True) is None or not is_agreed(asked):
        raise ConsentNeededError(f"{asked.name} needs consent in the app first", asked)


def is_agreed(asked: NetworkSource | UserImport) -> bool:
    """Return whether this session may import or trace something without a panel."""
    key = _key(asked)
    if isinstance(asked, NetworkSource) and not asked.is_callable and is_modest(asked):
        return True
    return key in session.current().agreed or key in _listed(asked)


def ask(asked: NetworkSource | UserImport) -> None:
    """Show what would be imported or traced, with a button to agree."""
    if isinstance(asked, NetworkSource) and asked == session.current().source:
        _panel(asked)
    else:  # requested by a button of the page: ask in a dialog
        st.dialog("Import your code?" if _is_code(asked) else "Trace this network?")(_panel)(asked)


def _panel(asked: NetworkSource | UserImport) -> None:
    is_current = isinstance(asked, NetworkSource) and asked == session.current().source
    with st.container(border=True, key="consent"):
        if _is_code(asked):
            _code(asked, is_titled=is_current)
        else:
            assert isinstance(asked, NetworkSource)
            _size(asked, is_titled=is_current)
        with st.container(horizontal=True):
            label = (
                "Trace it" if not _is_code(asked) else "Import and trace it" if is_current else "Import it"
            )
            if st.button(label, type="primary", icon=":material/check:", key=f"agree.{hash(_key(asked))}"):
                session.current().agreed.add(_key(asked))
                st.rerun()
            if is_current:
                st.button(
                    "Open DemoNet instead", key="agree.not", on_click=session.open_network, args=(FALLBACK,)
                )
        if not is_current:
            st.caption("After that, press the button on the page again.")


def _code(asked: NetworkSource | UserImport, *, is_titled: bool) -> None:
    module, _, attribute = asked.name.partition(":")
    folders = asked.trust if isinstance(asked, NetworkSource) else asked.folders
    try:
        found = find_module(module, folders)
    except NasvizError as error:
        st.error(inert(str(error)), icon=":material/error:")
        return
    if is_titled:
        st.subheader("Import your code?")
    st.write(
        "A callable in a trusted folder is requested. Its code has not run yet. Importing it executes the"
        " file below and everything it imports, with your permissions, in a separate process. If you did not"
        " request this, do not import it: addresses and runs can come from anyone."
    )
    _facts(_described(asked, found, attribute))
    if (excerpt := _excerpt(found.file, attribute)) is not None:
        line, text = excerpt
        with st.expander(f"Show code: line {line:,} of {inert(found.file.name)}", icon=":material/code:"):
            st.code(text, language="python")


def _described(
    asked: NetworkSource | UserImport, found: UserModule, attribute: str
) -> Iterator[tuple[str, str]]:
    yield "Callable", f"{attribute} of the module {asked.name.partition(':')[0]}"
    yield ("Files" if found.packages else "File"), "\n".join(map(str, found.files))
    yield "Trusted folder", str(found.folder)
    if not isinstance(asked, NetworkSource):
        yield "Used as", asked.role
        return
    settings = dict(asked.settings) | ({"num_classes": asked.num_classes} if asked.num_classes else {})
    yield "Called with", ", ".join(f"{name}={value!r}" for name, value in settings.items()) or "no arguments"
    yield "Input", _input(asked) or "returned with the network"
    if asked.weights:
        yield "Weights", asked.weights


def _size(source: NetworkSource, *, is_titled: bool) -> None:
    if is_titled:
        st.subheader("Trace a network of this size?")
    entry, settings = source.entry, dict(source.settings)
    known = "of unknown size" if entry is None else "that is larger than its catalog entry"
    st.write(
        f"An address or a run requests a network {known}. Tracing it may take several minutes and a lot of"
        " memory."
    )
    usual = {} if entry is None else entry.complete({})
    facts = [("Network", source.title)]
    if source.input_shape:
        listed = f"  (catalog: {plain_shape(entry.input_shape)})" if entry and entry.input_shape else ""
        facts.append(("Input", f"{plain_shape(source.input_shape)}{listed}"))
    if source.num_classes:
        listed = f"  (catalog: {entry.num_classes})" if entry else ""
        facts.append(("Classes", f"{source.num_classes:,}{listed}"))
    facts += [(name, f"{value}  (catalog: {usual.get(name)})") for name, value in settings.items()]
    _facts(facts)


def _facts(facts: Iterable[tuple[str, str]]) -> None:
    """Show names and values; values are untrusted, so they are shown as text, never as Markdown."""
    for name, value in facts:
        left, right = st.columns([1, 5], gap="small")
        left.markdown(f"**{name}**")
        right.text(value)


def _input(source: NetworkSource) -> str:
    if source.input_shape:
        return plain_shape(source.input_shape)
    return "; ".join(map(str, source.inputs))


def _is_code(asked: NetworkSource | UserImport) -> bool:
    return CALLABLE.fullmatch(asked.name) is not None


def _key(asked: NetworkSource | UserImport) -> NetworkSource | UserImport:
    """Return the key of a consent: everything that determines which code runs, including its folder."""
    if not _is_code(asked):
        return asked
    folders = asked.trust if isinstance(asked, NetworkSource) else asked.folders
    folder = (str(find_module(asked.name.partition(":")[0], folders).folder),)
    if isinstance(asked, NetworkSource):
        return replace(asked, trust=folder)
    return replace(asked, folders=folder)


def _listed(asked: NetworkSource | UserImport) -> set[NetworkSource | UserImport]:
    """Return the callables listed by the operator, which have no arguments."""
    if asked.name not in options().open:
        return set()
    if isinstance(asked, NetworkSource):
        return {_key(NetworkSource(asked.name, trust=options().trust))}
    return {_key(UserImport(asked.role, asked.name, options().trust))}


def _excerpt(file: Path, attribute: str) -> tuple[int, str] | None:
    """Return line and text of the statement that binds an attribute of a module, without importing it."""
    try:
        if file.stat().st_size > LARGEST_FILE:
            return None
        text = file.read_text(encoding="utf-8")
        body = ast.parse(text).body
    except (OSError, ValueError, SyntaxError, RecursionError):
        return None
    first = attribute.partition(".")[0]
    found = next((node for node in reversed(body) if first in _names(node)), None)
    if found is None:
        return None
    start = min([found.lineno, *(d.lineno for d in getattr(found, "decorator_list", ()))])
    lines = text.splitlines()[start - 1 : found.end_lineno]
    more = [] if len(lines) <= LONGEST_EXCERPT else [f"# ... {len(lines) - LONGEST_EXCERPT:,} more lines"]
    return start, "\n".join([*lines[:LONGEST_EXCERPT], *more])


def _names(node: ast.stmt) -> set[str]:
    """Return the names that a module-level statement binds."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}
