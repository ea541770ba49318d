"""The recipe on the form: a length in steps, and a part of the data, become settings of the run."""

from streamlit.testing.v1 import AppTest

from nasviz.settings import RunSettings, laid_over


def test_steps_and_a_part_of_the_images_are_asked_for() -> None:
    def script() -> None:
        import streamlit as st

        from nasviz.settings import METHODS
        from nasviz.ui.parts.run_form import ask_recipe

        st.session_state["values"] = ask_recipe(METHODS["gsparsity"])

    app = AppTest.from_function(script, default_timeout=60).run()
    app.number_input(key="recipe.steps").set_value(500)
    app.number_input(key="recipe.train_images").set_value(640)
    app.multiselect(key="recipe.metric.chosen").set_value(["f1", "auroc"])
    app.run()
    assert not app.exception
    values = laid_over({"epochs": 4}, app.session_state["values"])
    settings = RunSettings.of(network="demonet", method="gsparsity", **values)
    assert settings.metric == ("f1", "auroc")
    assert (settings.steps, settings.train_images, settings.length) == (500, 640, "500 steps")
