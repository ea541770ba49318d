from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nasviz.draw.replay_page import MOMENTS, _savings, replay_page
from nasviz.draw.view import GraphView, segment_view
from nasviz.errors import ExportError
from nasviz.graph import SearchSpace, search_space
from nasviz.runs import Labels, Run, RunSettings, Store, Writer
from nasviz.runs.files import SEARCHED, SPACE, write_json
from tests.graph.networks import demonet
from tests.runs.run_writing import record

NUM_STEPS = 700


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return search_space(demonet())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, space: SearchSpace) -> Run:
    """A run with scores every fifth step, and one event."""
    settings = RunSettings.of(network="demonet", target_sparsity=3)
    run = Store(tmp_path_factory.mktemp("runs")).create(settings)
    run.write_labels(Labels(name="</title><script>alert(1)</script>"))
    write_json(run.folder / SPACE, space.to_json())
    structures = [s.id for s in space.removable]
    with Writer(run) as writer:
        writer.describe(total_steps=NUM_STEPS)
        for step in range(NUM_STEPS):
            writer.step(record(step))
            if step % 5 == 0:
                writer.scores(step, structures, np.arange(len(structures)) + step)
            if step == 333:
                writer.event(step, "zero", "conv4 <b>is</b> zero", structures[0])
        writer.finish("done", result={"max_relative_error": 1e-7, "accuracy_subnet": 0.875})
    return run


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def read(page: str) -> dict[str, Any]:
    found = re.search(r'id="replay">([^<]*)</script>', page)
    assert found
    data: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return data


def test_a_page_holds_the_whole_run_at_few_moments(run: Run) -> None:
    page = replay_page(run)
    data = read(page)
    steps = [moment["step"] for moment in data["moments"]]
    assert (steps[0], steps[-1], len(steps)) == (0, NUM_STEPS - 1, MOMENTS)
    assert steps == sorted(set(steps))
    assert 333 in steps  # a moment of its own, since something happened
    assert (333, "zero", "conv4 <b>is</b> zero") in map(tuple, data["events"])
    assert len(page) < 400_000
    assert page == replay_page(run)


def test_scores_of_a_moment_are_those_that_were_known_then(run: Run) -> None:
    for moment in read(replay_page(run))["moments"][::40]:
        scores = np.frombuffer(base64.b64decode(moment["scores"]), "<f4")
        assert scores.tolist() == [n + moment["step"] // 5 * 5 for n in range(len(scores))]


def test_the_sub_network_is_the_last_moment(run: Run, space: SearchSpace) -> None:
    plan = space.plan([space.removable[0].id])
    last = read(replay_page(run, plan))["moments"][-1]
    assert last["phase"] == "sub-network"
    assert ["validation accuracy", "87.5%"] in last["facts"]
    assert last["overlay"]["states"] == {"s-erased": "n2", "s-sliced": "n5 n8"}
    result = {"accuracy_subnet": 0.0213, "metrics": ["mse"]}
    end = replace(run.end, result=result) if run.end is not None else None
    assert ("validation mean squared error", "0.0213") in _savings(SimpleNamespace(end=end), plan)  # type: ignore[arg-type]


def test_scores_are_drawn_on_the_space_that_they_refer_to(
    run: Run, space: SearchSpace, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(run.folder, tmp_path / run.id))
    write_json(folder / SEARCHED, space.to_json())
    write_json(folder / SPACE, {"another": "network"})
    derived = Store(tmp_path).open(run.id)
    drawn: list[SearchSpace] = []

    def draw(found: SearchSpace) -> GraphView:
        drawn.append(found)
        return segment_view(found)

    last = read(replay_page(derived, space.plan([space.removable[0].id]), draw))["moments"][-1]
    assert [len(found.structures) for found in drawn] == [len(space.structures)]
    assert last["phase"] == "sub-network"
    assert "s-erased" not in last["overlay"]["states"]


def test_names_and_notes_cannot_add_an_element(run: Run) -> None:
    page = replay_page(run)
    assert page.count("<script") == 2
    assert "default-src 'none'" in page


def test_nothing_recorded_is_nothing_to_replay(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no step"):
        replay_page(Store(tmp_path).create(RunSettings.of(network="demonet")))
