from __future__ import annotations

from streamlit.testing.v1 import AppTest


def test_the_band_of_sizes_is_told_for_a_k_and_for_none_is_not() -> None:
    def script() -> None:
        from nasviz.ui import session
        from nasviz.ui.parts import run_form
        from tests.ui import analyses

        session.current().analysis = analyses.mixed()
        run_form.size_forecast(session.space(), 0)
        run_form.size_forecast(session.space(), 2)

    app = AppTest.from_function(script).run(timeout=60)
    assert not app.exception
    (words,) = app.caption
    assert "parameters and" in words.value
    assert "over 8 random valid selections" in words.value
