"""The Dependency graph page: vertex kinds, and the tensor slices that depend on a structure."""

from __future__ import annotations

from collections import Counter

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from nasviz.draw import GraphView, Overlay, state_overlay
from nasviz.draw.labels import clean, plain_shape, ranges
from nasviz.graph import ChannelMember, ChannelStructure, ConstructionPlan, RemovalStructure, SearchSpace
from nasviz.ui import frame, session
from nasviz.ui.parts import colours, graphs, plans
from nasviz.ui.parts.escaping import inert

__all__ = ["dependency_graph"]

STRUCTURES, CHANNELS, PARTITION = "Structures", "Channel groups", "Variables"


@frame.Page(
    "Dependency graph",
    4,
    icon=":material/hub:",
    invitation="View dependencies",
    lead="The role of each operator for channels, and all tensor slices that depend on a structure.",
    group="Analyze",
    is_workspace=True,
    followed_by=("Search and train",),
)
def dependency_graph() -> None:
    """Show the dependency graph of the current network, and the slices that depend on one structure."""
    head = frame.head("Dependency graph")
    state, space = session.current(), session.space()
    with head:
        way = _way()
    picture, side = st.container(), st.container()
    if way == CHANNELS:
        _channels(space, head, picture, side)
        return
    if way == PARTITION:
        _partition(space, picture, side)
        return
    with head:
        structure = _choose(space)
        colour = colours.choose(is_compact=True)
    plan = plans.plan_of(space, [structure.id] if structure and structure.is_removable else [])
    with picture:
        view = graphs.dependencies_of(session.key_of(space), space)
        overlay = colours.painted(view, space, colour, plan)
        selection = graphs.show(view, space, key="dependency-graph", overlay=overlay, selected=state.linked)
        graphs.remember(selection)
    with side:
        kinds = Counter(space.dependency.kind(vertex.id) for vertex in space.trace)
        st.caption(
            f"{kinds['stem']} stems produce channels, {kinds['accessory']} accessories preserve them,"
            f" {kinds['joint']} joints combine them, {kinds['unknown']} unknown. Frames mark the structures."
            " OTOv3 calls the segment graph its dependency graph, and a removable structure a GeZIG."
        )
        if structure is not None:
            _tell(space, structure, plan)
    if selection.vertex and selection.vertex.members:
        _follow(space, selection.vertex.members[0], structure)


def _way() -> str:
    choices = session.current().choices
    way = st.segmented_control(
        "Unit of removal",
        (STRUCTURES, CHANNELS, PARTITION),
        default=choices.get("dependency", STRUCTURES),
        required=True,
        key="dependency.way",
        help="Whole structures, channels of the remaining operators, or all variables by group.",
        label_visibility="collapsed",
    )
    choices["dependency"] = way
    return str(way)


def _channels(
    space: SearchSpace, head: DeltaGenerator, picture: DeltaGenerator, side: DeltaGenerator
) -> None:
    """Show the dependency graph with the channel groups."""
    state = session.current()
    with head:
        structure = _choose_channels(space)
    with picture:
        view = graphs.dependencies_of(session.key_of(space), space)
        overlay = _channel_overlay(view, structure) if structure else None
        selection = graphs.show(view, space, key="dependency-graph", overlay=overlay, selected=state.linked)
        graphs.remember(selection)
    with side:
        if structure is not None:
            _tell_channels(space, structure)


def _partition(space: SearchSpace, picture: DeltaGenerator, side: DeltaGenerator) -> None:
    """Show all variables, divided into the groups of G_s and the complement."""
    partition = space.partition
    with picture:
        view = graphs.partition_of(session.key_of(space), space)
        graphs.remember(graphs.show(view, space, key="partition-graph", selected=session.current().linked))
    with side:
        names = {s.id: s.name for s in space.removable}
        inside = sum(s.num_parameters for s in space.removable)
        st.markdown("##### Variable partition")
        st.caption(
            f"Frames are the {len(partition.groups)} groups of G_s with {inside:,} parameters. The other"
            f" {partition.num_complement:,} parameters are its complement. K and b are filters and bias of a"
            " convolution, W the weight of a linear layer; the Greek letters are scale and shift of a norm."
            " Columns behind a concatenation have the colour of their operand. ASGNAS, figure 2c."
        )
        rows = [
            {"group": str(i), "variables": ", ".join(clean(v.name) for v in group), "of": clean(names[i])}
            for i, group in partition.groups.items()
        ]
        rest = ", ".join(clean(v.name) for v in partition.complement)
        st.dataframe([*rows, {"group": "none", "variables": rest, "of": "complement"}], hide_index=True)


def _choose(space: SearchSpace) -> RemovalStructure | None:
    choices = session.current().choices
    ids = [s.id for s in space.structures]
    if not ids:
        st.info("This network has no removal structures.", icon=":material/info:")
        return None
    known = choices.get("structure")
    chosen = st.selectbox(
        "Removal structure",
        ids,
        index=ids.index(known) if known in ids else 0,
        format_func=lambda i: f"{i} · {clean(space.structure(i).name)}",
        key=f"structure.{known}",
        label_visibility="collapsed",
        width=180,
    )
    choices["structure"] = chosen
    return space.structure(chosen)


def _follow(space: SearchSpace, vertex: str, structure: RemovalStructure | None) -> None:
    """Choose the structure of the clicked vertex."""
    choices = session.current().choices
    if choices.get("clicked") == vertex:
        return
    choices["clicked"] = vertex
    home = space.segments.of(vertex).id
    if home in {s.id for s in space.structures} and (structure is None or home != structure.id):
        choices["structure"] = home
        st.rerun()


def _tell(space: SearchSpace, structure: RemovalStructure, plan: ConstructionPlan | None) -> None:
    if structure.reason:
        st.warning(f"Not removable: {inert(structure.reason)}.", icon=":material/block:")
    left, right = st.columns([1, 1.6], gap="large")
    left.markdown("##### Parameters")
    left.dataframe(
        [
            {"tensor": clean(name), "shape": plain_shape(space.trace.parameter_shapes[name])}
            for name in structure.parameter_names
        ],
        hide_index=True,
    )
    if plan is None:
        return
    right.markdown("##### Dependent slices")
    right.dataframe(
        [
            {
                "tensor": clean(cut.tensor),
                "loses": f"{_axis(cut.dim)} {ranges(cut.rows)}",
                "read by": clean(space.trace[cut.vertex].name),
            }
            for cut in plan.slices
        ]
        or [{"tensor": "none", "loses": "", "read by": ""}],
        hide_index=True,
    )
    if structure.entailed:
        zeroed = "; ".join(f"{inert(c.tensor)} {ranges(c.rows)}" for c in structure.entailed)
        right.caption(f"Also set to zero during training: {zeroed}.")
    with left:
        plans.plan_metrics(plan)


_PARTS = {
    "stem": "produces the channels",
    "accessory": "one row per channel",
    "reader": "consumes the channels",
}


def _choose_channels(space: SearchSpace) -> ChannelStructure | None:
    """Let the user choose a channel structure by its producers."""
    found = space.channels.structures
    if not found:
        st.info("No operator of this network produces channels.", icon=":material/info:")
        return None
    choices = session.current().choices
    known = choices.get("channels", 0)
    chosen = st.selectbox(
        "Coupled operators",
        range(len(found)),
        index=known if known < len(found) else 0,
        format_func=lambda i: f"{found[i].name} · {found[i].width} {found[i].unit}s",
        key="channels.structure",
        label_visibility="collapsed",
        width=320,
    )
    choices["channels"] = chosen
    return found[chosen]


def _channel_overlay(view: GraphView, structure: ChannelStructure) -> Overlay:
    """Return the overlay that marks producers and consumers of the channels."""
    owners = [m.vertex for m in structure.members if m.part != "reader"]
    readers = [m.vertex for m in structure.members if m.part == "reader"]
    state = "selected" if structure.is_slimmable else "protected"
    overlay = state_overlay(view, owners, state)
    return overlay | state_overlay(view, readers, "sliced") if structure.is_slimmable else overlay


def _tell_channels(space: SearchSpace, structure: ChannelStructure) -> None:
    """Show the members of the channel groups, and how many groups can be removed."""
    if structure.reason:
        st.warning(f"These channels cannot be removed: {inert(structure.reason)}.", icon=":material/block:")
    st.markdown(f"##### Members of each {structure.unit}")
    st.dataframe(
        [
            {
                "tensor": clean(member.tensor),
                "first group": f"{_axis(member.dim)} {ranges(_first(structure, member))}",
                "part": _PARTS[member.part],
            }
            for member in structure.members
        ],
        hide_index=True,
    )
    channels = space.channels
    st.caption(
        f"{len(channels):,} channel groups in {len(channels.slimmable)} sets; at most"
        f" {channels.max_groups():,} can be removed, because every operator keeps a channel. A group is zero"
        " when all rows that produce or scale it are; its columns in the consumers are then sliced exactly."
    )


def _first(structure: ChannelStructure, member: ChannelMember) -> tuple[int, ...]:
    return tuple(sorted(member.rows[: len(member.rows) // structure.width]))


def _axis(dim: int) -> str:
    return {0: "rows", 1: "columns"}.get(dim, f"axis {dim},")
