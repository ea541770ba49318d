"""Collapsing of modules to one vertex each, with undo."""

from __future__ import annotations

import re
from collections.abc import Sequence

import streamlit as st

from nasviz.errors import NasvizError
from nasviz.graph import Collapsible, SearchSpace, collapsible, search_space
from nasviz.ui import session
from nasviz.ui.parts.escaping import inert, sentence

__all__ = ["collapse", "collapsing", "undo"]

MOST_OFFERS = 100
MOST_STEPS = 30
"""Length of the undo history."""


def collapsing(space: SearchSpace) -> None:
    """Show the choice of module classes and path patterns, and the effect of collapsing."""
    state = session.current()
    offers = _offers(session.require_analysis().key, space)
    if not offers and not state.collapse:
        return
    with st.expander(
        "Collapse modules",
        icon=":material/select_all:",
        expanded=bool(state.collapse or state.before),
    ):
        st.caption(
            "A collapsed module is one vertex (▣) and can only be erased as a whole. Of nested modules, the"
            " outermost is collapsed. New runs use this setting."
        )
        _choose(offers)
        _outcome(space)
        _refused(offers)


def collapse(names: Sequence[str]) -> None:
    """Collapse exactly these modules, and carry protection and preview over to the new segments.

    Raises:
        UnknownVertexError: A name matches no module.
        GraphError: A module cannot be one vertex.
    """
    state, old = session.current(), session.space()
    new = search_space(old.trace, (), tuple(dict.fromkeys(names)))
    kept = {s.id for s in new.structures} | {gate.id for gate in new.gates}
    # A segment that contains a protected one becomes protected. A preview is kept only for equal segments.
    protect = {new.segments.of(v).id for i in state.protect for v in old.segments[i].vertices}
    state.before = (*state.before, state.constraints)[-MOST_STEPS:]
    state.constraints = session.Constraints(
        new.collapse,
        frozenset(protect & kept),
        tuple(sorted(_same(old, new, state.marked))),
        tuple(sorted(_same(old, new, state.gates))),
    )


def undo() -> None:
    """Restore the constraints before the last change of collapsed modules."""
    state = session.current()
    *earlier, state.constraints = state.before
    state.before = tuple(earlier)


def _same(old: SearchSpace, new: SearchSpace, segments: Sequence[int]) -> set[int]:
    """Return the ids in the new space of those segments that have the same vertices there."""
    homes = {i: new.segments.of(old.segments[i].vertices[-1]) for i in segments}
    return {home.id for i, home in homes.items() if home.vertices == old.segments[i].vertices}


@st.cache_data(max_entries=24, show_spinner=False)
def _offers(key: str, _space: SearchSpace) -> tuple[Collapsible, ...]:
    """Return the module classes of the network; `key` identifies it."""
    return collapsible(_space.trace)


def _choose(offers: Sequence[Collapsible]) -> None:
    state = session.current()
    sizes = {offer.name: len(offer.paths) for offer in offers if offer.reason is None}
    names = list(dict.fromkeys([*list(sizes)[:MOST_OFFERS], *state.collapse]))
    classes, pattern, back = st.columns([1.6, 1, 0.4], vertical_alignment="bottom")
    chosen = classes.multiselect(
        "Module classes",
        names,
        default=list(state.collapse),
        format_func=lambda name: f"{name} · {_modules(sizes[name])}" if name in sizes else f"path {name}",
        key=f"collapse.{state.collapse}.{len(state.before)}",
        placeholder="Choose classes",
        select_all=False,
    )
    text = pattern.text_input(
        "Module paths",
        key=f"pattern.{state.collapse}.{len(state.before)}",
        placeholder=_example(offers),
        help="Comma-separated paths or patterns: `*` matches any text, e.g. `layer1.*` matches all modules"
        " in layer1.",
    )
    if state.before:
        back.button("Undo", icon=":material/undo:", key="uncollapse", on_click=undo)
    chosen_names = tuple(dict.fromkeys([*chosen, *re.split(r"[\s,]+", text.strip())]))
    chosen_names = tuple(name for name in chosen_names if name)
    if chosen_names != state.collapse:
        try:
            collapse(chosen_names)
        except NasvizError as error:
            st.warning(sentence(str(error)), icon=":material/block:")
        else:
            st.rerun()


def _outcome(space: SearchSpace) -> None:
    """Show the effect of collapsing in one line."""
    if not space.collapse:
        return
    bare = session.require_analysis().space
    one = _modules(len(space.segments.collapsed))
    words = "is one vertex" if len(space.segments.collapsed) == 1 else "are one vertex each"
    counts = (
        ("segments", len(bare.segments), len(space.segments)),
        ("structures", len(bare.removable), len(space.removable)),
        ("maximum K", bare.max_sparsity, space.max_sparsity),
    )
    changes = " · ".join(f"{what} {before} → **{after}**" for what, before, after in counts)
    st.markdown(f"{one} {words}: {changes}")
    if not space.removable:
        st.info(
            "The collapsed modules contain all branches, so no structure is removable. Choose smaller"
            " modules, or undo.",
            icon=":material/info:",
        )


def _refused(offers: Sequence[Collapsible]) -> None:
    refused = [f"{inert(o.name)} ({inert(o.reason)})" for o in offers if o.reason is not None]
    if refused:
        more = f" and {len(refused) - 6} more" if len(refused) > 6 else ""
        st.caption(f"Cannot be collapsed: {'; '.join(refused[:6])}{more}.")


def _modules(number: int) -> str:
    return "1 module" if number == 1 else f"{number} modules"


def _example(offers: Sequence[Collapsible]) -> str:
    """Return an example of a path pattern in this network."""
    paths = [path for offer in offers for path in offer.paths]
    deep = next((path for path in paths if "." in path), None)
    return f"{deep.rpartition('.')[0]}.*"[:40] if deep else paths[0][:40] if paths else "layer1.*"
