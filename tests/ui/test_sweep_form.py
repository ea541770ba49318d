"""The form for a new sweep: a grid asks for what the methods have, a search for mu for the other settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from nasviz import jobs
from nasviz.runs import RunSettings, Sweep, SweepSettings
from nasviz.settings import METHODS
from tests.ui.test_runs_page import press, runs

__all__ = ["runs"]


@pytest.fixture
def started(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Sweep]]:
    """Sweeps that were started, with a small network of cells open."""
    found: list[Sweep] = []
    monkeypatch.setattr(jobs, "start_sweep", lambda sweep, slots: found.append(sweep))
    return found


def form(way: str) -> AppTest:
    def script() -> None:
        from dataclasses import replace

        from nasviz.catalog import NetworkSource
        from nasviz.ui import session
        from nasviz.ui.parts import sweep_form
        from tests.ui import analyses

        session.current().source = NetworkSource("nas_bench_201")
        session.current().analysis = replace(analyses.mixed(), source=session.current().source)
        sweep_form.new_sweep()

    app = AppTest.from_function(script).run(timeout=60)
    app.radio(key="form.way").set_value(way).run(timeout=60)
    assert not app.exception, app.exception
    return app


def settings_of(started: list[Sweep]) -> SweepSettings:
    (sweep,) = started
    return sweep.settings


def test_k_and_saliencies_are_asked_where_a_method_has_them(started: list[Sweep]) -> None:
    app = form("Custom grid")
    assert len(app.multiselect) == 3
    optimizers = app.multiselect[0]
    optimizers.set_value(["gsparsity", "darts", "rarts_width"]).run(timeout=60)
    assert not app.exception
    assert [box.label for box in app.multiselect] == ["Optimizers"]
    app.number_input(key="form.own.seeds").set_value(1).run(timeout=60)
    press(app, "Start 3 runs")
    assert [run.method.name for run in settings_of(started).runs] == ["gsparsity", "darts", "rarts_width"]


def test_every_method_can_be_in_one_grid(started: list[Sweep]) -> None:
    app = form("Custom grid")
    box = app.multiselect[0]
    box.set_value(list(METHODS)).run(timeout=60)
    app.multiselect[1].set_value([1]).run(timeout=60)
    assert not app.exception
    assert not app.error
    assert [metric.value for metric in app.metric] == [str(3 * len(METHODS))]


def test_cells_and_emphasis_are_axes(started: list[Sweep]) -> None:
    app = form("Custom grid")
    app.multiselect[0].set_value(["gsparsity"]).run(timeout=60)
    app.number_input(key="form.own.seeds").set_value(1)
    app.text_area(key="form.more").set_value("cells=none,NasBench201Cell").run(timeout=60)
    press(app, "Start 2 runs")
    assert [run.value("cells") for run in settings_of(started).runs] == [(), ("NasBench201Cell",)]
    app.text_area(key="form.more").set_value("groups=filters\nemphasis=none,layer2=2+layer3=2").run(
        timeout=60
    )
    press(app, "Start 2 runs")
    assert [run.value("emphasis") for run in started[-1].settings.runs] == [(), ("layer2=2", "layer3=2")]


def test_a_search_for_mu_has_the_settings_of_its_runs(started: list[Sweep]) -> None:
    app = form("Search for mu")
    assert app.checkbox(key="form.mu.is_tied").value
    app.checkbox(key="form.mu.adaptive").set_value(True).run(timeout=60)
    app.number_input(key="form.mu.rho").set_value(0.5)
    app.number_input(key="form.mu.beta").set_value(0.1)
    app.number_input(key="form.batch").set_value(32).run(timeout=60)
    assert any("bring a dead group from 1 down" in caption.value for caption in app.caption)
    press(app, "Start search")
    base: RunSettings = settings_of(started).base
    names = ("cells", "adaptive", "rho", "beta")
    assert [base.value(name) for name in names] == [("NasBench201Cell",), True, 0.5, 0.1]
    assert base.batch_size == 32
    app.selectbox(key="form.mu.groups").set_value("filters").run(timeout=60)
    assert not [box for box in app.checkbox if box.key == "form.mu.is_tied"]
    press(app, "Start search")
    assert started[-1].settings.base.value("cells") == ()
