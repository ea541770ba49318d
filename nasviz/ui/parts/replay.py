"""Replay of a run: a step slider, and a player that moves it at a chosen speed."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from nasviz.draw.live_frame import until
from nasviz.runs import Tail
from nasviz.ui import frame
from nasviz.ui.parts import run_facts
from nasviz.ui.parts.scene import Scene

__all__ = ["SPEEDS", "is_replaying", "offer_replay", "pace", "replay"]

TICK_S = 0.25
SPEEDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)
"""Steps per second."""


def replay(scene: Scene) -> None:
    """Show a run at the step of the slider or the player."""
    is_playing = bool(st.session_state.get(_key(scene, "playing")))
    st.fragment(_replay, run_every=TICK_S if is_playing else None)(scene)


@frame.handle_errors
def _replay(scene: Scene) -> None:
    tail = run_facts.read(scene.run)
    if not len(tail.steps):
        st.info("No steps were recorded.", icon=":material/info:")
        return
    step = last = int(tail.steps["step"][-1])
    state = run_facts.state_of(scene.run)
    with st.container():
        if state in run_facts.AT_WORK:
            offer_replay(scene)
        if last > 0:
            step = _player(scene, tail, last)
        scene.choose(tail)
    scene.show(tail if step == last else until(tail, step), state)


def is_replaying(scene: Scene) -> bool:
    """Return whether the user replays this active run."""
    return bool(st.session_state.get(_key(scene, "looks-back")))


def offer_replay(scene: Scene) -> None:
    """Show the switch between the live view and the replay of an active run."""
    before, words = is_replaying(scene), "Scrub through the recorded steps; training continues."
    if st.toggle("Replay", before, key=_key(scene, "look-back"), help=words) != before:
        st.session_state[_key(scene, "looks-back")] = not before
        st.rerun()


def _player(scene: Scene, tail: Tail, last: int) -> int:
    """Show the controls of the player and return the shown step."""
    at, playing = _key(scene, "step"), _key(scene, "playing")
    state: Any = st.session_state
    state.setdefault(at, last)
    state[at] = min(int(state[at]), last)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        is_playing = bool(state.get(playing))
        word, icon = ("Pause replay", "pause") if is_playing else ("Play", "play_arrow")
        if st.button(word, icon=f":material/{icon}:", key=_key(scene, "play")):
            state[playing] = not is_playing
            if not is_playing and state[at] >= last:
                state[at] = 0  # restart from the beginning
            state[_key(scene, "since")] = (time.monotonic(), state[at])
            st.rerun()
        speed = st.select_slider("Steps per second", SPEEDS, pace(last), key=_key(scene, "speed"), width=220)
        _phase_buttons(scene, tail)
    if is_playing:
        _advance(scene, last, speed)
    st.slider("Replay to step", 0, last, key=at, on_change=_reset_clock, args=(scene,))
    return int(state[at])


def pace(last: int) -> int:
    """Return a speed that replays a run of this length in about 15 seconds."""
    return next((speed for speed in SPEEDS if last / speed <= 15), SPEEDS[-1])


def _advance(scene: Scene, last: int, speed: int) -> None:
    """Advance by elapsed time, so that a slow page drops frames instead of slowing down."""
    state: Any = st.session_state
    at, since = _key(scene, "step"), _key(scene, "since")
    began, start = state.get(since, (time.monotonic(), state[at]))
    now = time.monotonic()
    state[at] = min(last, int(start + (now - began) * speed))
    if state.get(_key(scene, "pace")) != speed:
        state[_key(scene, "pace")] = speed
        state[since] = (now, state[at])
    if state[at] >= last:
        state[_key(scene, "playing")] = False
        st.rerun()


def _reset_clock(scene: Scene) -> None:
    """Continue playing from the step of the slider."""
    st.session_state[_key(scene, "since")] = (time.monotonic(), st.session_state[_key(scene, "step")])


def _phase_buttons(scene: Scene, tail: Tail) -> None:
    """Show a button for the start of each phase."""
    phases, steps = tail.steps["phase"], tail.steps["step"]
    changes = [i for i in range(1, len(phases)) if phases[i] != phases[i - 1]]
    for i in changes[:4]:
        name = str(phases[i])
        words, help_text = name.capitalize(), f"Go to the start of the {name}"
        step = int(steps[i])
        st.button(words, key=_key(scene, f"{name}.{i}"), on_click=_jump, args=(scene, step), help=help_text)


def _jump(scene: Scene, step: int) -> None:
    st.session_state[_key(scene, "step")] = step
    _reset_clock(scene)


def _key(scene: Scene, name: str) -> str:
    return f"replay.{scene.run.id}.{name}"
