"""Channel groups on the Dependency graph page: what can be cut inside operators, and what goes with it."""

from __future__ import annotations

import streamlit as st

from nasviz.draw import GraphView, Overlay, state_overlay
from nasviz.draw.labels import clean, ranges
from nasviz.graph import ChannelMember, ChannelStructure, SearchSpace
from nasviz.ui import session
from nasviz.ui.words import inert

__all__ = ["choose", "overlay_of", "tell"]

_PARTS = {
    "stem": "makes the channels",
    "accessory": "has a row for each",
    "reader": "reads them as columns",
}


def choose(space: SearchSpace) -> ChannelStructure | None:
    """A channel structure of the network, by the operators that make its channels."""
    found = space.channels.structures
    if not found:
        st.info("No operator of this network makes channels of its own.", icon=":material/info:")
        return None
    choices = session.current().choices
    known = choices.get("channels", 0)
    chosen = st.selectbox(
        "Operators whose channels go together",
        range(len(found)),
        index=known if known < len(found) else 0,
        format_func=lambda i: f"{found[i].name} · {found[i].width} groups",
        key="channels.structure",
    )
    choices["channels"] = chosen
    return found[chosen]


def overlay_of(view: GraphView, structure: ChannelStructure) -> Overlay:
    """Operators that make or scale the channels, and those that read them as columns."""
    owners = [m.vertex for m in structure.members if m.part != "reader"]
    readers = [m.vertex for m in structure.members if m.part == "reader"]
    state = "selected" if structure.is_slimmable else "protected"
    overlay = state_overlay(view, owners, state)
    return overlay | state_overlay(view, readers, "sliced") if structure.is_slimmable else overlay


def tell(space: SearchSpace, structure: ChannelStructure) -> None:
    """What a group of the structure consists of, and what could go in all."""
    if structure.reason:
        st.warning(f"These channels stay: {inert(structure.reason)}.", icon=":material/block:")
    st.markdown("##### One group is one index of all these")
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
        f" {channels.max_groups():,} can go together: every operator keeps a channel. A group is zero when"
        " all rows that make or scale it are; then its columns are cut with it, exactly."
    )


def _first(structure: ChannelStructure, member: ChannelMember) -> tuple[int, ...]:
    return tuple(sorted(member.rows[: len(member.rows) // structure.width]))


def _axis(dim: int) -> str:
    return {0: "row", 1: "column"}.get(dim, f"axis {dim},")
