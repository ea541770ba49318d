"""The Segment graph page: what could go, what would go with it, and what must stay."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from nasviz.draw import Overlay, plan_overlay, state_overlay
from nasviz.draw.labels import clean, count, ranges
from nasviz.errors import InvalidSparsityError
from nasviz.graph import ConstructionPlan, SearchSpace
from nasviz.ui import frame, graphs, session

__all__ = ["plan_metrics", "plan_of", "plan_story", "segment_graph"]


@frame.tell_errors
def segment_graph() -> None:
    """Show the segment graph of the current network, and try out what can be erased."""
    state, analysis = session.current(), session.require_analysis()
    space = session.space()
    picture, side = st.columns([2.4, 1], gap="medium")
    with side:
        controls = st.container()
    plan = plan_of(space, state.marked)
    with picture:
        view = graphs.segments_of(analysis.key + str(space.protect), space)
        overlay = plan_overlay(view, plan) if plan else Overlay()
        protected = [v for s in space.structures if s.id in state.protect for v in s.vertices]
        overlay |= state_overlay(view, protected, "protected")
        selection = graphs.show(view, key="segment-graph", overlay=overlay, selected=_linked(space))
        graphs.remember(selection)
    with controls:
        _chosen(space, selection.selected)
        _preview(space, plan)


def plan_of(space: SearchSpace, structures: Sequence[int]) -> ConstructionPlan | None:
    """What erasing these structures does; None for none, and, after saying why, for an invalid set."""
    if not structures:
        return None
    try:
        return space.plan(structures)
    except InvalidSparsityError as error:
        st.warning(_sentence(error), icon=":material/block:")
        return None


def plan_metrics(plan: ConstructionPlan) -> None:
    """Parameters and MACs after, with what is saved."""
    left, right = st.columns(2)
    for column, label, before, after in (
        (left, "Parameters", plan.params_before, plan.params_after),
        (right, "MACs", plan.macs_before, plan.macs_after),
    ):
        saved = (after - before) / before if before else 0.0
        said = f"{before:,} → {after:,}"
        column.metric(label, count(after), f"{saved:+.1%}", delta_color="inverse", help=said)


def plan_story(space: SearchSpace, plan: ConstructionPlan) -> None:
    """What construction does, in a few lines."""
    names = {s.id: s.name for s in space.structures}
    lines = [f"erased: **{names[i]}**" for i in plan.selected]
    lines += [f"orphaned, goes too: **{names[i]}**" for i in plan.orphaned]
    dead = [space.trace[v].name for v, why in plan.erased.items() if why == "dead end"]
    lines += [f"dead ends, go too: {', '.join(dead)}"] if dead else []
    lines += [f"`{clean(cut.tensor)}` loses {_axis(cut.dim)} {ranges(cut.rows)}" for cut in plan.slices]
    bypassed = [space.trace[v].name for v in plan.bypassed]
    lines += [f"left with one operand, bypassed: {', '.join(bypassed)}"] if bypassed else []
    filled = [space.trace[v].name if v in space.trace else v for v in plan.materialised]
    lines += [f"zeros written back before: {', '.join(filled)}"] if filled else []
    shown = lines[:12]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more")
    st.markdown("\n".join(f"- {line}" for line in shown))


def _axis(dim: int) -> str:
    return {0: "rows", 1: "columns"}.get(dim, f"indices of axis {dim},")


def _linked(space: SearchSpace) -> str | None:
    """Segment of the vertex that the address or another page has chosen."""
    vertex = session.current().linked
    return str(space.segments.of(vertex).id) if vertex and vertex in space.trace else None


def _chosen(space: SearchSpace, key: str | None) -> None:
    """What can be done with the segment that was clicked."""
    state = session.current()
    if key is None or not key.isdecimal():
        st.info("Click a segment to see whether it could go.", icon=":material/touch_app:")
        return
    segment = space.segments[int(key)]
    st.markdown(f"##### {segment.name}")
    reason = space.why_not(segment.vertices[0])
    is_protected = segment.id in state.protect
    if reason and not is_protected:
        st.caption(f"Stays: {reason}.")
        return
    st.caption(f"{segment.num_parameters:,} parameters · {segment.macs:,} MACs")
    with st.container(horizontal=True):
        if not is_protected:
            is_marked = segment.id in state.marked
            if st.button(
                "Put back" if is_marked else "Erase it, as a trial",
                type="secondary" if is_marked else "primary",
                icon=":material/undo:" if is_marked else ":material/ink_eraser:",
                key="erase",
            ):
                state.marked = tuple(sorted(set(state.marked) ^ {segment.id}))
                st.rerun()
        if st.button(
            "Release" if is_protected else "Protect",
            icon=":material/lock_open:" if is_protected else ":material/lock:",
            key="protect",
            help="A protected structure is never chosen by a search.",
        ):
            state.protect ^= {segment.id}
            state.marked = tuple(i for i in state.marked if i not in state.protect)
            st.rerun()


def _preview(space: SearchSpace, plan: ConstructionPlan | None) -> None:
    state = session.current()
    st.divider()
    st.markdown("##### What would go")
    names = {s.id: f"{s.id} · {s.name}" for s in space.removable}
    marked = st.multiselect(
        "Erase, as a trial",
        list(names),
        default=[i for i in state.marked if i in names],
        format_func=names.__getitem__,
        key=f"marked.{state.marked}.{sorted(state.protect)}",
        placeholder="Choose structures",
        label_visibility="collapsed",
    )
    if tuple(sorted(marked)) != state.marked:
        state.marked = tuple(sorted(marked))
        st.rerun()
    if plan is None:
        at_most = f"At most {space.max_sparsity} of {len(space.removable)} can go together"
        st.caption(f"{at_most}; the network itself is not touched here.")
        return
    plan_metrics(plan)
    plan_story(space, plan)


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
