"""Replays on the Export page: of the sub-network of a run alone, built on demand and once."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from nasviz.catalog import NetworkSource
from nasviz.graph import SearchSpace, search_space
from nasviz.runs import Run, RunSettings, Store, Writer
from nasviz.runs.files import SPACE, SUBNET, write_json
from nasviz.ui.pages import export
from nasviz.ui.parts.subnetworks import Subnetwork
from tests.graph.networks import demonet
from tests.runs.run_writing import record


@pytest.fixture
def subnet(tmp_path: Path) -> Subnetwork:
    """Return the sub-network of a run with one step."""
    run = Store(tmp_path).create(RunSettings.of(network="demonet"))
    space = search_space(demonet())
    write_json(run.folder / SPACE, space.to_json())
    with Writer(run) as writer:
        writer.step(record(0))
        writer.finish("done", result={})
    plan = space.plan([space.removable[0].id])
    return Subnetwork("demonet", run.folder / SUBNET, space, plan, {}, NetworkSource("demonet"), run)


def age(run: Run, seconds: int) -> None:
    """Set the time of the last change: files that were written just now have no reliable stamp."""
    for file in run.folder.iterdir():
        os.utime(file, (seconds, seconds))


def test_a_replay_is_built_once_and_again_when_the_run_has_changed(
    subnet: Subnetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Any] = []
    monkeypatch.setattr(export, "replay_page", lambda *given: f"page {built.append(given) or len(built)}")
    [offer] = export._replay(subnet)
    assert offer.is_deferred
    assert subnet.run is not None
    age(subnet.run, 1_000_000)
    assert [offer.read(), offer.read()] == ["page 1", "page 1"]
    age(subnet.run, 2_000_000)
    assert offer.read() == "page 2"
    space: SearchSpace = subnet.space
    assert built[0][2](space) is built[0][2](space)  # a layout is shared


def test_a_selection_by_hand_has_no_replay_of_the_run_whose_weights_it_uses(subnet: Subnetwork) -> None:
    assert not export._replay(replace(subnet, folder=subnet.folder.with_name("by-hand")))
    assert not export._replay(replace(subnet, run=None))


def test_a_deferred_file_is_not_made_by_showing_the_page() -> None:
    def script() -> None:
        from nasviz.ui.pages.export import Offer, _show

        def read() -> str:
            raise AssertionError("made without a click")

        _show(Offer("Replay", "", "replay.html", "text/html", read, is_deferred=True))

    assert not AppTest.from_function(script).run(timeout=60).exception


def test_the_chosen_form_of_onnx_is_asked_for(subnet: Subnetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(export.jobs, "submit", asked.append)
    monkeypatch.setattr(export.work, "shown", lambda *args, **options: None)

    def script(subnet):  # type: ignore[no-untyped-def]  # its annotations would be looked up in the script
        from nasviz.ui.pages.export import _network_offers

        _network_offers(subnet)

    page = AppTest.from_function(script, kwargs={"subnet": subnet}).run(timeout=60)
    opset, precision = page.selectbox
    opset.select(15)
    page = precision.select("float16").run(timeout=60)

    assert not page.exception
    assert [(request.opset, request.dtype) for request in asked] == [(20, None), (15, "float16")]
