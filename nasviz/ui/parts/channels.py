"""Channel groups on the Dependency graph page."""

from __future__ import annotations

import streamlit as st

from nasviz.draw import GraphView, Overlay, state_overlay
from nasviz.draw.labels import clean, ranges
from nasviz.graph import ChannelMember, ChannelStructure, SearchSpace
from nasviz.ui import session
from nasviz.ui.parts.escaping import inert

__all__ = ["choose", "overlay_of", "tell"]

_PARTS = {
    "stem": "produces the channels",
    "accessory": "one row per channel",
    "reader": "consumes the channels",
}


def choose(space: SearchSpace) -> ChannelStructure | None:
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
        format_func=lambda i: f"{found[i].name} · {found[i].width} groups",
        key="channels.structure",
    )
    choices["channels"] = chosen
    return found[chosen]


def overlay_of(view: GraphView, structure: ChannelStructure) -> Overlay:
    """Return the overlay that marks producers and consumers of the channels."""
    owners = [m.vertex for m in structure.members if m.part != "reader"]
    readers = [m.vertex for m in structure.members if m.part == "reader"]
    state = "selected" if structure.is_slimmable else "protected"
    overlay = state_overlay(view, owners, state)
    return overlay | state_overlay(view, readers, "sliced") if structure.is_slimmable else overlay


def tell(space: SearchSpace, structure: ChannelStructure) -> None:
    """Show the members of the channel groups, and how many groups can be removed."""
    if structure.reason:
        st.warning(f"These channels cannot be removed: {inert(structure.reason)}.", icon=":material/block:")
    st.markdown("##### Members of each channel group")
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
    return {0: "row", 1: "column"}.get(dim, f"axis {dim},")
