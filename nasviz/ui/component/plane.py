"""The plane of one group of two weights, in which point and gradient are dragged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from nasviz.draw.viewer import script, style_sheet

__all__ = ["plane"]

_plane = st.components.v2.component(
    "nasviz_plane",
    html='<div class="nasviz-plane"></div>\n',
    css=style_sheet("nasviz-plane", "plane.css"),
    js=script("plane.js"),
)


def plane(
    x: Sequence[float],
    gradient: Sequence[float],
    trial: Sequence[float],
    projected: Sequence[float],
    epsilon: float,
    *,
    key: str,
    on_move: Callable[[list[float], list[float]], None],
) -> None:
    """Show where a group stands, where its step leads, and the half-space that it must not leave.

    Args:
        x: The group now; may be dragged.
        gradient: At that point; its end may be dragged.
        trial: The trial point.
        projected: What becomes of it.
        epsilon: Offset of the half-space.
        key: Of the widget.
        on_move: Called with point and gradient before the script runs again, when one of them was dragged.
    """

    def moved() -> None:
        message = st.session_state[key]["moved"]
        on_move([float(v) for v in message["x"]], [float(v) for v in message["gradient"]])

    said = (
        f"Group at ({x[0]:g}, {x[1]:g}), trial point at ({trial[0]:.3g}, {trial[1]:.3g}), after the"
        f" projection at ({projected[0]:.3g}, {projected[1]:.3g}). The sliders move the same."
    )
    data = {"x": x, "gradient": gradient, "trial": trial, "projected": projected}
    _plane(key=key, data=data | {"epsilon": epsilon, "said": said}, on_moved_change=moved)
