"""Modules that count as one vertex each: what can be chosen, what it changes, and the way back."""

from __future__ import annotations

import re
from collections.abc import Sequence

import streamlit as st

from nasviz.errors import NasvizError
from nasviz.graph import Collapsible, SearchSpace, collapsible, search_space
from nasviz.ui import session
from nasviz.ui.words import inert, sentence

__all__ = ["collapse", "collapsing", "undo"]

MOST_OFFERS = 100
MOST_STEPS = 30
"""Steps back that are remembered."""


def collapsing(space: SearchSpace) -> None:
    """Offer the classes of the current network's modules, a field for patterns, and what came of it."""
    state = session.current()
    offers = _offers(session.require_analysis().key, space)
    if not offers and not state.collapse:
        return
    with st.expander(
        "Collapse modules: one operation, one structure",
        icon=":material/select_all:",
        expanded=bool(state.collapse or state.before),
    ):
        st.caption(
            "A collapsed module is one vertex (▣): it goes as a whole, or not at all, and its parts are no"
            " structures of their own any more. Of modules inside each other the outermost counts. A run that"
            " you start uses what is chosen here."
        )
        _choose(offers)
        _outcome(space)
        _refused(offers)


def collapse(names: Sequence[str]) -> None:
    """Let these modules count as one vertex each, and no others; protection and trials follow.

    Raises:
        UnknownVertexError: A name matches no module.
        GraphError: A module cannot be one vertex.
    """
    state, old = session.current(), session.space()
    new = search_space(old.trace, (), tuple(dict.fromkeys(names)))
    kept = {s.id for s in new.structures} | {gate.id for gate in new.gates}
    # What is protected stays protected inside a larger whole; a trial goes on only where it means the same.
    protect = {new.segments.of(v).id for i in state.protect for v in old.segments[i].vertices}
    state.before = (*state.before, state.wishes)[-MOST_STEPS:]
    state.wishes = session.Wishes(
        new.collapse,
        frozenset(protect & kept),
        tuple(sorted(_same(old, new, state.marked))),
        tuple(sorted(_same(old, new, state.gates))),
    )


def undo() -> None:
    """Go back to what was before modules were last collapsed or opened."""
    state = session.current()
    *earlier, state.wishes = state.before
    state.before = tuple(earlier)


def _same(old: SearchSpace, new: SearchSpace, segments: Sequence[int]) -> set[int]:
    """Where these segments are in the new space, if they hold the same vertices there."""
    homes = {i: new.segments.of(old.segments[i].vertices[-1]) for i in segments}
    return {home.id for i, home in homes.items() if home.vertices == old.segments[i].vertices}


@st.cache_data(max_entries=24, show_spinner=False)
def _offers(key: str, _space: SearchSpace) -> tuple[Collapsible, ...]:
    """Classes of the network that `key` stands for."""
    return collapsible(_space.trace)


def _choose(offers: Sequence[Collapsible]) -> None:
    state = session.current()
    sizes = {offer.name: len(offer.paths) for offer in offers if offer.reason is None}
    names = list(dict.fromkeys([*list(sizes)[:MOST_OFFERS], *state.collapse]))
    classes, pattern, back = st.columns([1.6, 1, 0.4], vertical_alignment="bottom")
    chosen = classes.multiselect(
        "Every module of these classes",
        names,
        default=list(state.collapse),
        format_func=lambda name: f"{name} · {_modules(sizes[name])}" if name in sizes else f"like {name}",
        key=f"collapse.{state.collapse}.{len(state.before)}",
        placeholder="Choose classes",
        select_all=False,
    )
    text = pattern.text_input(
        "Or modules by their paths",
        key=f"pattern.{state.collapse}.{len(state.before)}",
        placeholder=_example(offers),
        help="A path, or a pattern: `*` stands for anything, so `layer1.*` is all that lies in layer1."
        " Several are separated by commas.",
    )
    if state.before:
        back.button("Undo", icon=":material/undo:", key="uncollapse", on_click=undo)
    wished = tuple(dict.fromkeys([*chosen, *re.split(r"[\s,]+", text.strip())]))
    wished = tuple(name for name in wished if name)
    if wished != state.collapse:
        try:
            collapse(wished)
        except NasvizError as error:
            st.warning(sentence(str(error)), icon=":material/block:")
        else:
            st.rerun()


def _outcome(space: SearchSpace) -> None:
    """What collapsing has changed, in one line."""
    if not space.collapse:
        return
    bare = session.require_analysis().space
    one = _modules(len(space.segments.collapsed))
    words = "is one vertex" if len(space.segments.collapsed) == 1 else "are one vertex each"
    counts = (
        ("segments", len(bare.segments), len(space.segments)),
        ("structures", len(bare.removable), len(space.removable)),
        ("K at most", bare.max_sparsity, space.max_sparsity),
    )
    changes = " · ".join(f"{what} {before} → **{after}**" for what, before, after in counts)
    st.markdown(f"{one} {words}: {changes}")
    if not space.removable:
        st.info(
            "Nothing can be erased like this: what is collapsed holds every branch. Choose smaller modules,"
            " or undo.",
            icon=":material/info:",
        )


def _refused(offers: Sequence[Collapsible]) -> None:
    refused = [f"{inert(o.name)} ({inert(o.reason)})" for o in offers if o.reason is not None]
    if refused:
        more = f" and {len(refused) - 6} more" if len(refused) > 6 else ""
        st.caption(f"Cannot be one vertex: {'; '.join(refused[:6])}{more}.")


def _modules(number: int) -> str:
    return "1 module" if number == 1 else f"{number} modules"


def _example(offers: Sequence[Collapsible]) -> str:
    """A pattern that fits this network."""
    paths = [path for offer in offers for path in offer.paths]
    deep = next((path for path in paths if "." in path), None)
    return f"{deep.rpartition('.')[0]}.*"[:40] if deep else paths[0][:40] if paths else "layer1.*"
