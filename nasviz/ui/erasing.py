"""The Segment graph page: what could go, what would go with it, and what must stay."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from nasviz.draw.labels import count, ranges
from nasviz.errors import InvalidSparsityError
from nasviz.graph import ConstructionPlan, SearchSpace
from nasviz.ui import collapsing, colours, frame, graphs, other_kinds, session
from nasviz.ui.words import inert, sentence

__all__ = ["plan_metrics", "plan_of", "plan_story", "segment_graph"]


@frame.tell_errors
def segment_graph() -> None:
    """Show the segment graph of the current network, and try out what can be erased."""
    state, space = session.current(), session.space()
    collapsing.collapsing(space)
    picture, side = st.columns([2.4, 1], gap="medium")
    with side:
        controls = st.container()
    plan = plan_of(space, state.marked, state.gates)
    with picture:
        view = graphs.segments_of(session.key_of(space), space)
        overlay = colours.painted(view, space, colours.choose(), plan)
        selection = graphs.show(view, space, key="segment-graph", overlay=overlay, selected=_linked(space))
        graphs.remember(selection)
    with controls:
        _chosen(space, selection.selected)
        _preview(space, plan)
    other_kinds.other_kinds(space)


def plan_of(
    space: SearchSpace, structures: Sequence[int], gates: Sequence[int] = ()
) -> ConstructionPlan | None:
    """What erasing structures and replacing gates does; None for none, and, after saying why, if invalid."""
    if not structures and not gates:
        return None
    try:
        return space.plan(structures, gates)
    except InvalidSparsityError as error:
        st.warning(sentence(str(error)), icon=":material/block:")
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
    names = {s.id: inert(s.name) for s in space.segments}
    lines = [f"erased: **{names[i]}**" for i in plan.selected]
    lines += [f"orphaned, goes too: **{names[i]}**" for i in plan.orphaned]
    lines += [f"gate **{names[i]}**: {_fate(space, plan, i)}" for i in plan.gates]
    dead = [space.trace[v].name for v, why in plan.erased.items() if why == "dead end"]
    lines += [f"dead ends, go too: {_few(dead)}"] if dead else []
    if plan.channels:
        lines.append(f"{len(plan.channels):,} channel groups cut, in {len(plan.widths)} operators")
    lines += [f"{inert(cut.tensor)} loses {_axis(cut.dim)} {ranges(cut.rows)}" for cut in plan.slices]
    bypassed = [space.trace[v].name for v in plan.bypassed if v not in plan.scaled]
    lines += [f"left with one operand, bypassed: {_few(bypassed)}"] if bypassed else []
    lines += [
        f"{inert(space.trace[fold.vertex].name)} takes {len(fold.rows):,} constant channels into its bias"
        for fold in plan.folds
    ]
    picked = [space.trace[gather.vertex].name for gather in plan.gathers]
    lines += [f"live channels are picked in their new order: {_few(picked)}"] if picked else []
    filled = [space.trace[v].name if v in space.trace else v for v in plan.materialised]
    lines += [f"zeros written back before: {_few(filled)}"] if filled else []
    shown = lines[:12]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more")
    st.markdown("\n".join(f"- {line}" for line in shown) or "Nothing was cut out.")


def _fate(space: SearchSpace, plan: ConstructionPlan, gate_id: int) -> str:
    """What becomes of a gate: the number that stands for it, unless what it scales is gone too."""
    gate = space.gate(gate_id)
    if gate.product not in plan.scaled:
        return "goes with what it scales"
    return f"replaced by its value at zero, {inert(space.trace[gate.product].name)} × {gate.value:g}"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return inert(", ".join(names[:8])) + more


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
    st.markdown(f"##### {inert(segment.name)}")
    reason = space.why_not(segment.vertices[0])
    is_gate = segment.id in {gate.id for gate in space.gates}
    if reason and segment.id not in state.protect:
        st.caption(f"Stays: {inert(reason)}.")
        if not is_gate:
            return
    st.caption(f"{segment.num_parameters:,} parameters · {segment.macs:,} MACs")
    with st.container(horizontal=True):
        _try(segment.id, is_gate=is_gate)
        _protect(segment.id)


def _try(segment_id: int, *, is_gate: bool) -> None:
    """The button that puts a structure or a gate into the trial, or takes it out."""
    state = session.current()
    if segment_id in state.protect:
        return
    chosen = state.gates if is_gate else state.marked
    is_marked = segment_id in chosen
    if st.button(
        "Put back" if is_marked else "Replace it, as a trial" if is_gate else "Erase it, as a trial",
        type="secondary" if is_marked else "primary",
        icon=":material/undo:" if is_marked else ":material/ink_eraser:",
        key="erase",
    ):
        changed = tuple(sorted(set(chosen) ^ {segment_id}))
        if is_gate:
            state.gates = changed
        else:
            state.marked = changed
        st.rerun()


def _protect(segment_id: int) -> None:
    is_protected = segment_id in session.current().protect
    if st.button(
        "Release" if is_protected else "Protect",
        icon=":material/lock_open:" if is_protected else ":material/lock:",
        key="protect",
        help="What is protected is never chosen by a search.",
    ):
        session.protect(segment_id)
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
        key=f"marked.{state.marked}.{sorted(state.protect)}.{space.collapse}",
        placeholder="Choose structures",
        label_visibility="collapsed",
    )
    key = f"gates.{state.gates}.{sorted(state.protect)}.{space.collapse}"
    gates = other_kinds.choose_gates(space, "Gates to replace by their value at zero", key)
    if (tuple(sorted(marked)), gates) != (state.marked, state.gates):
        state.marked, state.gates = tuple(sorted(marked)), gates
        st.rerun()
    if plan is None:
        at_most = f"At most {space.max_sparsity} of {len(space.removable)} can go together"
        st.caption(f"{at_most}; the network itself is not touched here.")
        return
    plan_metrics(plan)
    plan_story(space, plan)
