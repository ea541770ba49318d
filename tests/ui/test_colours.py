"""Colours of the graphs: one choice for every page, over any view, with trial and protection on top."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest


def page() -> AppTest:
    def script() -> None:
        import streamlit as st

        from nasviz.draw import segment_view, trace_view
        from nasviz.ui import session
        from nasviz.ui.parts import colours
        from tests.ui import analyses

        session.current().analysis = analyses.mixed()
        space = session.space()
        colour = colours.choose()
        plan = space.plan(session.current().marked) if session.current().marked else None
        views = (trace_view(space.trace, space.trace.modules, space=space), segment_view(space))
        st.session_state["found"] = [colours.painted(view, space, colour, plan) for view in views]

    return AppTest.from_function(script).run(timeout=60)


def overlays(app: AppTest) -> Any:
    assert not app.exception
    return app.session_state["found"]


def test_the_choice_is_kept_for_the_next_page() -> None:
    app = page()
    app.segmented_control[0].set_value("MACs").run()
    assert app.session_state["nasviz"].choices["view"] == "MACs"
    for overlay in overlays(app):
        assert overlay.title == "MACs"
        assert overlay.scale == "viridis"
        assert overlay.bins


@pytest.mark.parametrize("colour", ["Removable", "Parameters"])
def test_what_is_tried_and_protected_lies_over_every_colour(colour: str) -> None:
    app = page()
    state = app.session_state["nasviz"]
    first, second, *_ = (s.id for s in state.guarded.removable)
    state.marked, state.protect = (first,), frozenset({second})
    app.segmented_control[0].set_value(colour).run()
    for overlay in overlays(app):
        states = {name for names in overlay.states.values() for name in names}
        assert {"erased", "protected"} <= states
        assert ("selected" in states) == (colour == "Removable")
