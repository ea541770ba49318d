"""The choice of the data on the page: folders are looked into, a download waits for a click."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from nasviz import jobs
from nasviz.jobs import Job
from nasviz.ui.options import Options
from nasviz.ui.parts import data as data_controls
from tests.data.files import write_svhn


@pytest.fixture(autouse=True)
def _trusts_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_controls, "options", lambda: Options(tmp_path))


def page() -> AppTest:
    def script() -> None:
        import streamlit as st

        from nasviz.ui.parts.data import ask_data

        chosen = ask_data(st.container())
        st.session_state["values"], st.session_state["problem"] = chosen.values, chosen.problem

    return AppTest.from_function(script, default_timeout=60).run()


def choose(name: str) -> AppTest:
    app = page()
    app.selectbox("data").select(name).run()
    assert not app.exception
    return app


def test_digits_need_nothing() -> None:
    app = page()
    assert app.session_state["values"] == {"data": "digits"}
    assert app.session_state["problem"] is None
    assert not app.text_input
    assert "own" not in app.selectbox("data").options


def test_a_folder_is_asked_for_and_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = choose("svhn")
    assert "train_32x32.mat, test_32x32.mat" in app.caption[0].value
    assert app.session_state["problem"] == "enter the folder of SVHN"
    app.text_input("data.folder").input(str(tmp_path)).run()
    assert "2 of 2 files are missing" in app.warning[0].value
    assert app.session_state["problem"] is not None
    write_svhn(tmp_path, monkeypatch)
    app.run()
    assert app.session_state["values"] == {"data": "svhn", "data_folder": str(tmp_path)}
    assert app.session_state["problem"] is None
    assert not app.warning


def test_nothing_is_downloaded_before_the_click(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def submit(request: jobs.Download) -> Job:
        asked.append((request.data, str(request.folder)))
        write_svhn(request.folder, monkeypatch)
        job = Job("download")
        job.finish(request.result_type()(folder=request.folder))
        return job

    monkeypatch.setattr(jobs, "submit", submit)
    app = choose("svhn")
    app.text_input("data.folder").input(str(tmp_path)).run()
    assert not asked
    assert app.button("data.folder.svhn").label == "Download 246 MB into this folder"
    app.button("data.folder.svhn").click().run()
    assert asked == [("svhn", str(tmp_path))]
    assert app.session_state["problem"] is None


def test_own_python_is_offered_only_where_folders_are_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting = Options(tmp_path, (str(tmp_path),))
    monkeypatch.setattr(data_controls, "options", lambda: trusting)
    app = choose("own")
    assert app.session_state["problem"] is not None
    app.text_input("data.own").input("plates:data").run()
    app.text_input("loss").input("plates:loss").run()
    assert app.session_state["problem"] is None
    assert app.session_state["values"] == {
        "data": "plates:data",
        "data_folder": None,
        "loss": "plates:loss",
        "trust": (str(tmp_path),),
    }
    app.text_input("loss").input("loss").run()
    assert app.session_state["problem"] == "enter your function as package.module:callable"


def test_names_of_folders_are_shown_as_plain_text() -> None:
    app = choose("image_folder")
    app.text_input("data.folder").input("/nowhere/**bold** [x](javascript:alert(1))").run()
    assert "**bold**" not in app.warning[0].value
    assert not app.exception


def test_text_is_offered_to_what_reads_text_and_says_that_it_is_a_stand_in() -> None:
    def script() -> None:
        import streamlit as st

        from nasviz.ui.parts.data import ask_data

        st.session_state["values"] = ask_data(st.container(), "text").values

    app = AppTest.from_function(script, default_timeout=60).run()
    assert app.session_state["values"] == {"data": "python_docs"}
    assert any("stand-in" in caption.value for caption in app.caption)
    app.selectbox("data.text").select("penn_treebank").run()
    assert app.session_state["values"]["data"] == "penn_treebank"
