"""Stepper for the frames of a lesson: buttons, a slider and automatic playback."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import streamlit as st

from nasviz.draw import GraphView
from nasviz.draw.lessons import LessonFrame
from nasviz.ui.parts import graphs

__all__ = ["stepper"]

TICK_S = 0.5
PACES = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0)
"""Choices of seconds per step."""


def stepper(key: str, view: GraphView, frames: Sequence[LessonFrame]) -> None:
    """Show one frame at a time; the graph keeps its layout and is only recoloured.

    Args:
        key: Key of the lesson.
        view: Graph that the frames colour.
        frames: Frames in order, at least one.
    """
    is_playing = bool(st.session_state.get(f"learn.playing.{key}"))
    st.fragment(_show, run_every=TICK_S if is_playing else None)(key, view, frames)


def _show(key: str, view: GraphView, frames: Sequence[LessonFrame]) -> None:
    place, last = f"learn.step.{key}", len(frames)
    state: Any = st.session_state
    state[place] = min(int(state.get(place, 1)), last)
    _advance(key, last)
    text = st.container(key=f"{place}.said")
    if last > 1:
        _controls(key, last)
    shown = frames[int(state[place]) - 1]
    with text:
        st.markdown(f"##### {state[place]} of {last}: {shown.text}")
        st.caption(shown.source)
    graphs.picture(view, key=f"learn-{key}", overlay=shown.overlay, height=560)


def _controls(key: str, last: int) -> None:
    state, place, playing = st.session_state, f"learn.step.{key}", f"learn.playing.{key}"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        step, is_playing = int(state[place]), bool(state.get(playing))
        back, on = f"{place}.back", f"{place}.next"
        arrow = ":material/arrow_back:"
        st.button("Back", key=back, on_click=_move, args=(key, -1), disabled=step == 1, icon=arrow)
        st.button("Next", key=on, on_click=_move, args=(key, 1), disabled=step == last, type="primary")
        word, icon = ("Pause", "pause") if is_playing else ("Play", "play_arrow")
        if st.button(word, key=f"{place}.play", icon=f":material/{icon}:"):
            state[playing] = not is_playing
            if not is_playing and step == last:
                _go(key, 1)
            _reset_clock(key)
            st.rerun()
        st.select_slider("Seconds per step", PACES, 2.0, key=f"learn.pace.{key}", width=180)
        st.slider("Step", 1, last, key=place, on_change=_reset_clock, args=(key,))


def _advance(key: str, last: int) -> None:
    """Advance by one step when the current one has been shown long enough."""
    state: Any = st.session_state
    if not state.get(f"learn.playing.{key}"):
        return
    pace = state.get(f"learn.pace.{key}", 2.0)
    if time.monotonic() - state.get(f"learn.since.{key}", 0.0) < pace:
        return
    _go(key, min(int(state[f"learn.step.{key}"]) + 1, last))
    _reset_clock(key)
    if state[f"learn.step.{key}"] == last:
        state[f"learn.playing.{key}"] = False
        st.rerun()


def _move(key: str, by: int) -> None:
    _go(key, int(st.session_state[f"learn.step.{key}"]) + by)
    _reset_clock(key)


def _go(key: str, step: int) -> None:
    st.session_state[f"learn.step.{key}"] = step


def _reset_clock(key: str) -> None:
    """Restart the time of the current step."""
    st.session_state[f"learn.since.{key}"] = time.monotonic()
