"""Modules of the Trace graph page, opened and closed all at once."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from nasviz.draw.collapse import opening
from tests.ui import analyses


def page() -> AppTest:
    def script() -> None:
        from nasviz.ui import session
        from nasviz.ui.pages import trace_graph
        from tests.ui import analyses

        session.current().analysis = analyses.mixed()
        trace_graph.trace_graph()

    return AppTest.from_function(script).run(timeout=60)


def test_each_button_is_there_as_soon_as_the_other_one_has_been_pressed() -> None:
    app = page()
    assert not app.exception
    trace = analyses.mixed().space.trace
    every = {path for vertex in trace for path in vertex.scope if path}

    def left_open() -> frozenset[str]:
        return app.session_state["nasviz"].choices["opened mixed"]

    assert left_open() == opening(trace)
    for label, other, wanted in [
        ("Collapse all", "Expand all", set()),
        ("Expand all", "Collapse all", every),
    ] * 2:
        (button,) = (button for button in app.button if button.label == label)
        button.click().run()
        assert left_open() == wanted
        assert {b.label: b.disabled for b in app.button if b.label in (label, other)} == {
            label: True,
            other: False,
        }
