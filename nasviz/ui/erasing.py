"""The Segment graph page: removable structures and a preview of their removal."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from nasviz.draw.labels import count, ranges
from nasviz.errors import InvalidSparsityError
from nasviz.graph import ConstructionPlan, SearchSpace
from nasviz.ui import collapsing, colours, frame, graphs, other_kinds, session
from nasviz.ui.escaping import inert, sentence

__all__ = ["plan_metrics", "plan_of", "plan_story", "segment_graph"]


@frame.handle_errors
def segment_graph() -> None:
    """Show the segment graph of the current network and preview removals."""
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
    """Return the plan for structures and gates; None if there are none or, after a warning, if invalid."""
    if not structures and not gates:
        return None
    try:
        return space.plan(structures, gates)
    except InvalidSparsityError as error:
        st.warning(sentence(str(error)), icon=":material/block:")
        return None


def plan_metrics(plan: ConstructionPlan) -> None:
    """Show parameters and MACs after construction, with the savings."""
    left, right = st.columns(2)
    for column, label, before, after in (
        (left, "Parameters", plan.params_before, plan.params_after),
        (right, "MACs", plan.macs_before, plan.macs_after),
    ):
        saved = (after - before) / before if before else 0.0
        exact = f"{before:,} → {after:,}"
        column.metric(label, count(after), f"{saved:+.1%}", delta_color="inverse", help=exact)


def plan_story(space: SearchSpace, plan: ConstructionPlan) -> None:
    """List the steps of the construction."""
    names = {s.id: inert(s.name) for s in space.segments}
    lines = [f"erased: **{names[i]}**" for i in plan.selected]
    lines += [f"orphaned, also erased: **{names[i]}**" for i in plan.orphaned]
    lines += [f"gate **{names[i]}**: {_fate(space, plan, i)}" for i in plan.gates]
    dead = [space.trace[v].name for v, why in plan.erased.items() if why == "dead end"]
    lines += [f"dead ends, also erased: {_few(dead)}"] if dead else []
    if plan.channels:
        lines.append(f"{len(plan.channels):,} channel groups removed in {len(plan.widths)} operators")
    lines += [f"{inert(cut.tensor)} loses {_axis(cut.dim)} {ranges(cut.rows)}" for cut in plan.slices]
    bypassed = [space.trace[v].name for v in plan.bypassed if v not in plan.scaled]
    lines += [f"left with one operand, bypassed: {_few(bypassed)}"] if bypassed else []
    lines += [
        f"{inert(space.trace[fold.vertex].name)}: {len(fold.rows):,} constant channels folded into its bias"
        for fold in plan.folds
    ]
    picked = [space.trace[gather.vertex].name for gather in plan.gathers]
    lines += [f"remaining channels reordered: {_few(picked)}"] if picked else []
    filled = [space.trace[v].name if v in space.trace else v for v in plan.materialised]
    lines += [f"zeros inserted before: {_few(filled)}"] if filled else []
    shown = lines[:12]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more")
    st.markdown("\n".join(f"- {line}" for line in shown) or "Nothing was removed.")


def _fate(space: SearchSpace, plan: ConstructionPlan, gate_id: int) -> str:
    """Describe how a gate is replaced, or that it is erased with the value it scales."""
    gate = space.gate(gate_id)
    if gate.product not in plan.scaled:
        return "erased with the value it scales"
    return f"replaced by its value at zero, {inert(space.trace[gate.product].name)} × {gate.value:g}"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return inert(", ".join(names[:8])) + more


def _axis(dim: int) -> str:
    return {0: "rows", 1: "columns"}.get(dim, f"indices of axis {dim},")


def _linked(space: SearchSpace) -> str | None:
    """Return the segment of the vertex selected by the address or another page."""
    vertex = session.current().linked
    return str(space.segments.of(vertex).id) if vertex and vertex in space.trace else None


def _chosen(space: SearchSpace, key: str | None) -> None:
    """Show the actions for the clicked segment."""
    state = session.current()
    if key is None or not key.isdecimal():
        st.info("Click a segment to see whether it is removable.", icon=":material/touch_app:")
        return
    segment = space.segments[int(key)]
    st.markdown(f"##### {inert(segment.name)}")
    reason = space.why_not(segment.vertices[0])
    is_gate = segment.id in {gate.id for gate in space.gates}
    if reason and segment.id not in state.protect:
        st.caption(f"Not removable: {inert(reason)}.")
        if not is_gate:
            return
    st.caption(f"{segment.num_parameters:,} parameters · {segment.macs:,} MACs")
    with st.container(horizontal=True):
        _preview_button(segment.id, is_gate=is_gate)
        _protect(segment.id)


def _preview_button(segment_id: int, *, is_gate: bool) -> None:
    """Show the button that adds a structure or a gate to the preview, or removes it from there."""
    state = session.current()
    if segment_id in state.protect:
        return
    chosen = state.gates if is_gate else state.marked
    is_marked = segment_id in chosen
    if st.button(
        "Restore" if is_marked else "Preview replacing" if is_gate else "Preview erasing",
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
        "Unprotect" if is_protected else "Protect",
        icon=":material/lock_open:" if is_protected else ":material/lock:",
        key="protect",
        help="A search never selects protected structures.",
    ):
        session.protect(segment_id)
        st.rerun()


def _preview(space: SearchSpace, plan: ConstructionPlan | None) -> None:
    state = session.current()
    st.divider()
    st.markdown("##### Preview")
    names = {s.id: f"{s.id} · {s.name}" for s in space.removable}
    marked = st.multiselect(
        "Structures to erase",
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
        at_most = f"At most {space.max_sparsity} of {len(space.removable)} structures can be erased together"
        st.caption(f"{at_most}. A preview does not change the network.")
        return
    plan_metrics(plan)
    plan_story(space, plan)
