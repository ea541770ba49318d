"""The real child, with torch: what the pages ask for, and what a user's code may do to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.errors import WeightsError
from nasviz.graph import LatencyTable, SearchSpace, search_space
from nasviz.jobs import child
from nasviz.trace import trace
from tests import mixed_network

DEMONET = NetworkSource("demonet", settings={"width": 0.1})
HOSTILE = """
import os, sys, time, torch
from torch import nn

def plain():
    print("hello from the user's code")
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.LazyLinear(10)), torch.zeros(2, 1, 8, 8)

def vanishes():
    os._exit(3)

def leaves():
    sys.exit("the user's code has had enough")

def hoards():
    kept = []
    while True:
        kept.append(torch.ones(2**24))
        time.sleep(0.02)"""


@pytest.fixture(scope="module", autouse=True)
def warm() -> Iterator[None]:
    jobs.warm()
    yield
    jobs.close()


@pytest.fixture
def trust(tmp_path: Path) -> tuple[str]:
    (tmp_path / "mine.py").write_text(HOSTILE)
    return (str(tmp_path),)


def test_analysis_comes_back_as_a_space_with_exact_parity() -> None:
    result = jobs.analyze(NetworkSource("demonet")).require()
    space = SearchSpace.from_json(result["space"])
    assert (space.trace.num_parameters, space.trace.macs) == (817_010, 208_871_584)
    assert (len(space.segments), len(space.removable), space.max_sparsity) == (13, 6, 4)
    assert max(result["parity"].values()) < 1e-5


def test_an_analysis_is_kept_and_a_protected_one_is_another() -> None:
    first = jobs.analyze(DEMONET)
    first.wait()
    assert jobs.analyze(DEMONET).result is first.result
    protected = SearchSpace.from_json(jobs.analyze(DEMONET, protect=["conv2"]).require()["space"])
    assert len(protected.removable) == 5
    collapsed = SearchSpace.from_json(jobs.analyze(DEMONET, collapse=["conv2"]).require()["space"])
    assert list(collapsed.segments.collapsed) == ["conv2"]


def test_latency_is_measured_by_operator_and_of_both_networks(tmp_path: Path) -> None:
    small = NetworkSource("demonet", input_shape=(1, 8, 8), settings={"width": 0.1})
    result = jobs.time_vertices(small, data="digits", batch_size=3).require()
    table = LatencyTable.from_json(result["table"])
    space = SearchSpace.from_json(jobs.analyze(small).require()["space"])
    assert table.batch_size == 3
    assert table.vertex_ms.keys() == {vertex.id for vertex in space.trace}

    with pytest.raises(WeightsError, match="was deleted"):
        jobs.time_subnet(small, tmp_path / "none")
    erased = [s.id for s in space.removable][:1]
    folder = jobs.construct(small, erased, folder=tmp_path / "cut").require()["folder"]
    result = jobs.time_subnet(small, folder, batch_size=2).require()
    assert result["full"]["median_ms"] > 0 < result["subnet"]["median_ms"]
    assert result["full"]["batch_size"] == result["subnet"]["batch_size"] == 2
    table = LatencyTable.from_json(result["table"])
    assert 0 < table.after(space.plan(erased)) < table.whole_ms


def test_a_preview_scores_every_structure_once_and_again_the_same() -> None:
    scores = [dict(jobs.preview(DEMONET, "digits", seed=3).require()["scores"]) for _ in range(2)]
    assert sorted(scores[0]) == [1, 2, 5, 6, 9, 10]
    assert scores[0] == scores[1]
    assert dict(jobs.preview(DEMONET, "digits", saliency="magnitude").require()["scores"]) != scores[0]


def test_what_was_traced_last_is_not_traced_again() -> None:
    told: list[str] = []
    asked = {"source": DEMONET.to_json(), "data": "digits", "data_folder": None, "trust": [], "seed": 0}
    asked |= {"saliency": "snip", "collapse": [], "batch_size": 8}
    first, again = (
        dict(child.preview(asked | {"protect": names}, lambda share, words: told.append(words))["scores"])
        for names in ([], ["id:1"])
    )
    assert again == {i: first[i] for i in first if i != 1}
    assert told.count("tracing and comparing with your network") == 1
    assert told.count("scoring every structure") == 2


def test_a_cut_by_hand_is_exact_reopens_and_exports(tmp_path: Path) -> None:
    result = jobs.construct(DEMONET, [10, 1], folder=tmp_path / "cut").require()
    assert result["report"]["max_relative_error"] < 1e-5
    assert result["report"]["effect"] > 0
    assert result["plan"]["selected"] == [1, 10]

    small = SearchSpace.from_json(jobs.reopen(result["folder"], [(-1, 1, 28, 28)]).require()["space"])
    assert small.trace.num_parameters == result["report"]["params_after"]

    files = jobs.export(result["folder"], [(-1, 1, 28, 28)]).require()["files"]
    assert set(files) == {"onnx", "source"}
    for kind in files.values():
        assert Path(kind["path"]).stat().st_size == kind["bytes"]
        assert kind["max_relative_error"] < 1e-4


def test_a_collapsed_module_is_one_structure_and_a_gate_is_replaced_exactly(tmp_path: Path) -> None:
    source = mixed_network.source(tmp_path / "trust")
    collapse = ["FactorizedReduce"]
    space = search_space(trace(mixed_network.Mixed(), torch.zeros(2, 1, 8, 8)), collapse=collapse)
    assert [s.name for s in space.removable] == ["reduce", "plain", "mix"]
    reduce, gate = space.removable[0], space.gates[0]
    report = jobs.construct(
        source, [reduce.id], gates=[gate.id], folder=tmp_path / "cut", collapse=collapse
    ).require()["report"]
    assert report["max_relative_error"] < 1e-5
    assert (report["gates"], report["scaled"]) == ([gate.id], {"mul": 0.5})
    assert report["params_before"] - report["params_after"] == reduce.num_parameters + gate.num_parameters


def test_what_cannot_go_together_is_refused_in_the_words_of_the_library() -> None:
    job = jobs.construct(DEMONET, [9, 10], folder="unused")
    assert job.wait(240)
    assert (job.state, job.error_kind) == ("failed", "InvalidSparsityError")
    assert "cuts something required off" in job.error


def test_a_sub_network_that_was_deleted_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="was deleted"):
        jobs.reopen(tmp_path, [(-1, 1, 28, 28)])


def test_weights_that_are_gone_are_told_before_a_child_is_asked() -> None:
    with pytest.raises(WeightsError, match="no file of weights"):
        jobs.analyze(NetworkSource("demonet", weights="/nowhere/weights.safetensors"))


@pytest.mark.parametrize(
    ("name", "words"),
    [("vanishes", "exit code 3"), ("leaves", "had enough")],
)
def test_user_code_that_goes_wrong_fails_its_own_job_only(trust: tuple[str], name: str, words: str) -> None:
    warm = jobs.shared_door().warm_pid
    job = jobs.analyze(NetworkSource(f"mine:{name}", trust=trust))
    assert job.wait(240)
    assert job.state == "failed"
    assert words in job.error
    assert jobs.shared_door().warm_pid == warm


def test_user_code_that_hoards_is_stopped(trust: tuple[str]) -> None:
    source = NetworkSource("mine:hoards", trust=trust).to_json()
    job = jobs.shared_door().submit(
        "analyze",
        {"source": source, "protect": [], "collapse": []},
        limits=jobs.Limits(240, 2500),
    )
    assert job.wait(240)
    assert "more than its limit of 2500 MiB" in job.error


def test_user_code_that_prints_is_analysed(trust: tuple[str]) -> None:
    result = jobs.analyze(NetworkSource("mine:plain", trust=trust)).require()
    assert len(SearchSpace.from_json(result["space"]).trace) == 3
