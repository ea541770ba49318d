"""Uploaded ONNX files: few, not large, under names of our own; pages that need weights say what to do."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from nasviz import jobs
from nasviz.errors import OnnxError
from nasviz.ui import session
from nasviz.ui.options import options
from nasviz.ui.parts.onnx_files import OnnxFile, UploadStore
from nasviz.ui.serving import SCRIPT
from tests.ui import analyses


def test_files_lie_under_names_that_nobody_has_chosen(tmp_path: Path) -> None:
    store = UploadStore(tmp_path)
    file = store.put(b"content", "../../\x1b[31m\u202eetc/passwd.onnx\n")
    (path,) = tmp_path.iterdir()
    assert store.path(file) == path == tmp_path / f"{file.key}.onnx"
    assert file.key.isalnum()
    assert file.name == "../../[31metc/passwd.onnx "
    assert store.find("../" + file.key) is None


def test_the_oldest_files_make_room_for_number_and_for_size(tmp_path: Path) -> None:
    store = UploadStore(tmp_path, num_files=3, num_bytes=100)
    first, second, third = (store.put(b"x" * 20, name) for name in "abc")
    store.find(first.key)  # looked at again: it is not the oldest any more
    fourth = store.put(b"x" * 20, "d")
    assert store.find(second.key) is None
    large = store.put(b"x" * 70, "e")
    assert [store.find(f.key) is not None for f in (first, third, fourth, large)] == [
        False,
        False,
        True,
        True,
    ]
    assert {path.stem for path in tmp_path.iterdir()} == {fourth.key, large.key}
    with pytest.raises(OnnxError, match="b is no longer stored"):
        store.path(second)


def test_a_file_that_is_too_large_is_refused_and_nothing_makes_room_for_it(tmp_path: Path) -> None:
    store = UploadStore(tmp_path, num_bytes=100)
    kept = store.put(b"x" * 90, "kept")
    with pytest.raises(OnnxError, match="the limit is"):
        store.put(b"x" * 101, "large")
    assert store.find(kept.key) == kept


@pytest.mark.parametrize("page", ["Search_and_train", "Sub-network", "Export"])
def test_pages_that_need_weights_say_that_a_file_is_to_look_at(
    page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(jobs, "warm_up", lambda: None)
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(tmp_path)])
    options.cache_clear()
    app = AppTest.from_file(str(SCRIPT), default_timeout=60)
    file = OnnxFile("0" * 24, "my_[net](http://x).onnx")
    app.session_state["nasviz"] = session.Session(file, replace(analyses.mixed(), source=file))
    app.run().switch_page(f"pages/{page}.py").run()
    assert not app.exception
    assert any("ONNX, view only" in text.value for text in app.markdown)
    (info,) = app.info
    assert "it can be viewed, but not trained or pruned" in info.value
    assert "Open the PyTorch version" in info.value
    assert "**my\\_\\[net\\]" in info.value
    assert not [button for button in app.button if button.label in ("Start training", "Construct")]
    options.cache_clear()
