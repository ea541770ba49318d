"""Construction plans on a page: their savings and their steps."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from nasviz.draw.labels import count, ranges
from nasviz.errors import InvalidSparsityError
from nasviz.graph import ConstructionPlan, SearchSpace
from nasviz.ui.parts.escaping import inert, sentence

__all__ = ["plan_line", "plan_metrics", "plan_of", "plan_story"]


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


def plan_line(plan: ConstructionPlan) -> str:
    """Return parameters and MACs before and after construction in one line of Markdown."""
    kept = [
        f"{count(before)} → **{count(after)}** {name} ({after / before if before else 1:.0%})"
        for name, before, after in (
            ("parameters", plan.params_before, plan.params_after),
            ("MACs", plan.macs_before, plan.macs_after),
        )
    ]
    return f"{' · '.join(kept)}"


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
        heads = [i for i in plan.channels if space.channels.of(i).unit != "channel"]
        lines += [f"removed: {_few([space.channels.name_of(i) for i in heads])}"] if heads else []
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
