"""The plane of a group of two weights, with draggable point and gradient."""

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
    """Show a group, its trial step and its half-space.

    Args:
        x: Weights of the group; draggable.
        gradient: Gradient at `x`; draggable.
        trial: Trial point.
        projected: Trial point after the projection.
        epsilon: Offset of the half-space.
        key: Key of the widget.
        on_move: Callback with point and gradient after one of them was dragged, before the script reruns.
    """

    def moved() -> None:
        message = st.session_state[key]["moved"]
        on_move([float(v) for v in message["x"]], [float(v) for v in message["gradient"]])

    text = (
        f"Group at ({x[0]:g}, {x[1]:g}), trial point at ({trial[0]:.3g}, {trial[1]:.3g}), after the"
        f" projection at ({projected[0]:.3g}, {projected[1]:.3g}). The sliders set the same values."
    )
    data = {"x": x, "gradient": gradient, "trial": trial, "projected": projected}
    _plane(key=key, data=data | {"epsilon": epsilon, "said": text}, on_moved_change=moved)
