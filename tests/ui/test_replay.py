"""Replays: any run in some seconds, played by the clock, held, and jumped to where a phase begins."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from nasviz.catalog import NetworkSource
from nasviz.runs import Run, RunSettings, StepRecord, Store, Writer
from nasviz.ui.parts import run_facts
from nasviz.ui.parts.replay import SPEEDS, pace
from tests.runs.conftest import wait_until


@pytest.mark.parametrize("last", [1, 43, 700, 15_000, 10**6])
def test_a_run_of_any_length_is_replayed_in_about_a_quarter_of_a_minute(last: int) -> None:
    speed = pace(last)
    assert speed in SPEEDS
    assert last / speed <= 15 or speed == SPEEDS[-1]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A run of 200 steps: 20 to warm up, 60 to project."""
    run = Store(tmp_path).create(RunSettings.of(network=NetworkSource("demonet"), target_sparsity=1))
    with Writer(run) as writer:
        writer.describe(total_steps=200)
        for step in range(200):
            phase = "warm-up" if step < 20 else "projection" if step < 80 else "training"
            writer.step(StepRecord(step, 0, phase, 1.0 / (step + 1), 0.5, 0.1))
        writer.finish("done", result={})
    return run.folder


def visit(folder: Path) -> AppTest:
    def script(folder: str) -> None:
        from pathlib import Path

        import streamlit as st

        from nasviz.runs import Run
        from nasviz.ui.parts import replay
        from nasviz.ui.parts.scene import Scene

        scene = Scene(Run(Path(folder)), None, None)
        replay.replay(scene)
        st.session_state["shown"] = scene.shown(scene.run.tail())

    return AppTest.from_function(script, args=(str(folder),)).run(timeout=30)


def press(app: AppTest, label: str) -> None:
    next(button for button in app.button if button.label == label).click().run(timeout=30)
    assert not app.exception


def test_a_replay_is_played_by_the_clock_and_held(recorded: Path) -> None:
    app = visit(recorded)
    (slider,) = app.slider
    assert slider.value == 199
    press(app, "Play")  # from the start, for it stood at the end
    began = time.monotonic()
    speed = app.select_slider[0].value
    time.sleep(0.4)
    app.run(timeout=30)
    assert 0.4 * speed - 2 <= app.slider[0].value <= (time.monotonic() - began) * speed + 2
    press(app, "Pause replay")
    held = app.slider[0].value
    app.run(timeout=30)
    assert app.slider[0].value == held


def test_heat_map_and_graph_show_scores_cosines_or_norms_as_chosen(tmp_path: Path) -> None:
    run = Store(tmp_path).create(RunSettings.of(network=NetworkSource("demonet"), target_sparsity=1))
    with Writer(run) as writer:
        writer.describe(total_steps=2)
        for step in range(2):
            writer.scores(step, (1, 2), [0.1, 0.2])
            writer.norms(step, (1, 2), [3.0, 4.0])
            writer.cosines(step, (1, 2), [-0.5, 0.25])
            writer.step(StepRecord(step, 0, "warm-up", 1.0, 0.5, 0.1))
    app = visit(run.folder)
    (chooser,) = (control for control in app.segmented_control if control.label == "Measure")
    assert (chooser.options, chooser.value) == (
        ["Automatic", "Saliency", "Gradient cosine", "Norm"],
        "Automatic",
    )
    for name, numbers in (("Gradient cosine", [-0.5, 0.25]), ("Norm", [3.0, 4.0])):
        chooser.set_value(name).run(timeout=30)
        assert not app.exception
        shown, measure = app.session_state["shown"]
        assert (shown.scores.values[-1].tolist(), measure.label) == (numbers, name)


def test_pages_that_follow_one_run_read_it_once_for_all_until_there_is_more(recorded: Path) -> None:
    run = Run(recorded)
    wait_until(lambda: run_facts.read(run) is run_facts.read(Run(recorded)))
    with closing(sqlite3.connect(recorded / "run.db")) as connection:
        connection.execute("DELETE FROM steps WHERE step > 9")
        connection.commit()
    assert run_facts.read(run).last_step == 9


def test_buttons_lead_to_where_a_phase_begins(recorded: Path) -> None:
    app = visit(recorded)
    for label, step in (("Projection", 20), ("Training", 80)):
        press(app, label)
        assert app.slider[0].value == step
