"""A server runs the Python of folders that its operator has named, and no other, whatever a run says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.errors import InvalidSettingError
from nasviz.runs import Run, RunSettings, Store, SweepSettings, SweepStore
from nasviz.ui.options import options
from nasviz.ui.serving import SCRIPT

CODE = """
from pathlib import Path
Path(__file__).with_name("canary").touch()
from torch import nn
net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
"""


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[NetworkSource]:
    """Code that tells when it is imported."""
    folder = tmp_path / "strange"
    folder.mkdir()
    (folder / "strange_net.py").write_text(CODE)
    yield NetworkSource("strange_net:net", trust=(str(folder),))
    assert not (folder / "canary").exists()


@pytest.fixture
def run(stranger: NetworkSource, tmp_path: Path) -> Run:
    return Store(tmp_path / "runs").create(RunSettings.of(network=stranger, epochs=1))


def test_nothing_is_started_with_code_of_a_folder_that_nobody_has_named(
    stranger: NetworkSource, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "named").mkdir()
    jobs.trust_only([tmp_path / "named"])
    sweep = SweepStore(run.folder.parent).create(SweepSettings(run.settings, ()))
    starts = (
        lambda: jobs.start_run(run),
        lambda: jobs.start_sweep(sweep),
        lambda: jobs.submit(jobs.Analyze(source=stranger)),
        lambda: jobs.submit(jobs.Preview(source=stranger, data="digits")),
        lambda: jobs.submit(jobs.Construct(source=stranger, erased=[1], folder="unused")),
        lambda: jobs.submit(jobs.Construct(run=run.folder, erased=[1])),
        lambda: jobs.submit(jobs.TimeVertices(source=stranger)),
    )
    for start in starts:
        with pytest.raises(InvalidSettingError, match=r"would run Python code from .*strange.*-- --trust"):
            start()
    assert run.state == "created"


def test_a_folder_that_was_named_is_trusted_with_what_lies_in_it(
    stranger: NetworkSource, tmp_path: Path
) -> None:
    jobs.trust_only([tmp_path])
    jobs.require_trusted(stranger)
    jobs.trust_only([])
    with pytest.raises(InvalidSettingError):
        jobs.require_trusted(stranger)
    jobs.require_trusted(NetworkSource("demonet"))
    outside = NetworkSource("a:b", trust=(str(tmp_path / "strange" / ".." / ".."),))
    jobs.trust_only([tmp_path / "strange"])
    with pytest.raises(InvalidSettingError):
        jobs.require_trusted(outside)


def test_a_strangers_run_is_not_resumed_at_a_click(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "warm_up", lambda: None)
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(run.folder.parent)])
    options.cache_clear()
    app = AppTest.from_file(str(SCRIPT), default_timeout=60)
    app.query_params["run"] = run.id
    app.run().switch_page("pages/Search_and_train.py").run()
    (start,) = [button for button in app.button if button.label == "Start"]
    start.click().run()
    assert not app.exception
    assert any("which is not trusted" in error.value for error in app.error)
    assert run.state == "created"
    options.cache_clear()
