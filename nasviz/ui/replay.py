"""Looking back: a slider over the steps of a run, and a player that moves it at any speed."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from nasviz.draw.live_frame import until
from nasviz.runs import Tail
from nasviz.ui import frame, run_facts
from nasviz.ui.scene import Scene

__all__ = ["SPEEDS", "looks_back", "offer_look_back", "pace", "replay"]

TICK_S = 0.25
SPEEDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)
"""Steps a second."""


def replay(scene: Scene) -> None:
    """What is on record of a run, at the step that the slider or the player chooses."""
    is_playing = bool(st.session_state.get(_key(scene, "playing")))
    st.fragment(_replay, run_every=TICK_S if is_playing else None)(scene)


@frame.tell_errors
def _replay(scene: Scene) -> None:
    tail = run_facts.read(scene.run)
    if not len(tail.steps):
        st.info("No step was recorded.", icon=":material/info:")
        return
    step = last = int(tail.steps["step"][-1])
    state = run_facts.state_of(scene.run)
    with st.container():
        if state in run_facts.AT_WORK:
            offer_look_back(scene)
        if last > 0:
            step = _player(scene, tail, last)
        scene.choose(tail)
    scene.show(tail if step == last else until(tail, step), state)


def looks_back(scene: Scene) -> bool:
    """Whether a person wants to see the past of this run, although it is at work."""
    return bool(st.session_state.get(_key(scene, "looks-back")))


def offer_look_back(scene: Scene) -> None:
    """The switch between a run that is at work, as it is now, and its past."""
    before, words = looks_back(scene), "Scrub through what is on record; training goes on."
    if st.toggle("Look back", before, key=_key(scene, "look-back"), help=words) != before:
        st.session_state[_key(scene, "looks-back")] = not before
        st.rerun()


def _player(scene: Scene, tail: Tail, last: int) -> int:
    """Play, pause and speed beside the slider; the step that is shown."""
    at, playing = _key(scene, "step"), _key(scene, "playing")
    state: Any = st.session_state
    state.setdefault(at, last)
    state[at] = min(int(state[at]), last)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        is_playing = bool(state.get(playing))
        word, icon = ("Hold", "pause") if is_playing else ("Play", "play_arrow")
        if st.button(word, icon=f":material/{icon}:", key=_key(scene, "play")):
            state[playing] = not is_playing
            if not is_playing and state[at] >= last:
                state[at] = 0  # from the start, where it has come to the end
            state[_key(scene, "since")] = (time.monotonic(), state[at])
            st.rerun()
        speed = st.select_slider("Steps a second", SPEEDS, pace(last), key=_key(scene, "speed"), width=220)
        _turning_points(scene, tail)
    if is_playing:
        _move(scene, last, speed)
    st.slider("Replay to step", 0, last, key=at, on_change=_hold, args=(scene,))
    return int(state[at])


def pace(last: int) -> int:
    """A speed that shows a run of this length in some fifteen seconds."""
    return next((speed for speed in SPEEDS if last / speed <= 15), SPEEDS[-1])


def _move(scene: Scene, last: int, speed: int) -> None:
    """Go on by what the clock says, so that a slow page loses frames and not time."""
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


def _hold(scene: Scene) -> None:
    """Who moves the slider while it plays goes on from there."""
    st.session_state[_key(scene, "since")] = (time.monotonic(), st.session_state[_key(scene, "step")])


def _turning_points(scene: Scene, tail: Tail) -> None:
    """Buttons to where a phase begins."""
    phases, steps = tail.steps["phase"], tail.steps["step"]
    changes = [i for i in range(1, len(phases)) if phases[i] != phases[i - 1]]
    for i in changes[:4]:
        name = str(phases[i])
        words, help_text = name.capitalize(), f"Go to where the {name} begins"
        step = int(steps[i])
        st.button(words, key=_key(scene, f"{name}.{i}"), on_click=_jump, args=(scene, step), help=help_text)


def _jump(scene: Scene, step: int) -> None:
    st.session_state[_key(scene, "step")] = step
    _hold(scene)


def _key(scene: Scene, name: str) -> str:
    return f"replay.{scene.run.id}.{name}"
