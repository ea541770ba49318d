"""The real worker, with torch: what the pages ask for, and what a user's code may do to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.errors import WeightsError
from nasviz.graph import search_space
from nasviz.jobs import worker
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
    jobs.warm_up()
    yield
    jobs.close()


@pytest.fixture
def trust(tmp_path: Path) -> tuple[str]:
    (tmp_path / "mine.py").write_text(HOSTILE)
    return (str(tmp_path),)


def test_analysis_comes_back_as_a_space_with_exact_parity() -> None:
    result = jobs.submit(jobs.Analyze(source=NetworkSource("demonet"))).require()
    space = result.space
    assert (space.trace.num_parameters, space.trace.macs) == (817_010, 208_871_584)
    assert (len(space.segments), len(space.removable), space.max_sparsity) == (13, 6, 4)
    assert max(result.parity.values()) < 1e-5


def test_an_analysis_is_kept_and_a_protected_one_is_another() -> None:
    first = jobs.submit(jobs.Analyze(source=DEMONET))
    first.wait()
    assert jobs.submit(jobs.Analyze(source=DEMONET)).result is first.result
    protected = jobs.submit(jobs.Analyze(source=DEMONET, protect=["conv2"])).require().space
    assert len(protected.removable) == 5
    collapsed = jobs.submit(jobs.Analyze(source=DEMONET, collapse=["conv2"])).require().space
    assert list(collapsed.segments.collapsed) == ["conv2"]


def test_latency_is_measured_by_operator_and_of_both_networks(tmp_path: Path) -> None:
    small = NetworkSource("demonet", input_shape=(1, 8, 8), settings={"width": 0.1})
    result = jobs.submit(jobs.TimeVertices(source=small, data="digits", batch_size=3)).require()
    table = result.table
    space = jobs.submit(jobs.Analyze(source=small)).require().space
    assert table.batch_size == 3
    assert table.vertex_ms.keys() == {vertex.id for vertex in space.trace}

    with pytest.raises(WeightsError, match="was deleted"):
        jobs.submit(jobs.TimeSubnet(source=small, folder=tmp_path / "none"))
    erased = [s.id for s in space.removable][:1]
    cut = jobs.submit(jobs.Construct(source=small, erased=erased, folder=tmp_path / "cut")).require()
    result = jobs.submit(jobs.TimeSubnet(source=small, folder=cut.folder, batch_size=2)).require()
    assert result.full.median_ms > 0 < result.subnet.median_ms
    assert result.full.batch_size == result.subnet.batch_size == 2
    table = result.table
    assert 0 < table.after(space.plan(erased)) < table.whole_ms


def test_a_preview_scores_every_structure_once_and_again_the_same() -> None:
    request = jobs.Preview(source=DEMONET, data="digits", seed=3)
    scores = [jobs.submit(request).require().scores for _ in range(2)]
    assert sorted(scores[0]) == [1, 2, 5, 6, 9, 10]
    assert scores[0] == scores[1]
    other = jobs.Preview(source=DEMONET, data="digits", saliency="magnitude")
    assert jobs.submit(other).require().scores != scores[0]


def test_what_was_traced_last_is_not_traced_again() -> None:
    told: list[str] = []
    first, again = (
        worker.preview(
            jobs.Preview(source=DEMONET, data="digits", batch_size=8, protect=names),
            lambda share, words: told.append(words),
        ).scores
        for names in ((), ("id:1",))
    )
    assert again == {i: first[i] for i in first if i != 1}
    assert told.count("tracing and comparing with your network") == 1
    assert told.count("scoring every structure") == 2


def test_a_cut_by_hand_is_exact_reopens_and_exports(tmp_path: Path) -> None:
    request = jobs.Construct(source=DEMONET, erased=[10, 1], folder=tmp_path / "cut")
    result = jobs.submit(request).require()
    assert result.folder == tmp_path / "cut"
    assert result.report["max_relative_error"] < 1e-5
    assert result.report["effect"] > 0
    assert result.report["selected"] == [1, 10]

    small = jobs.submit(jobs.Reopen(folder=result.folder, inputs=[(-1, 1, 28, 28)])).require().space
    assert small.trace.num_parameters == result.report["params_after"]

    exported = jobs.submit(jobs.Export(folder=result.folder, inputs=[(-1, 1, 28, 28)])).require()
    assert set(exported.files) == {"onnx", "source"}
    assert not exported.errors
    for file in exported.files.values():
        assert file.path.stat().st_size == file.bytes
        assert file.max_relative_error < 1e-4
    assert exported.files["onnx"].nodes > 0


def test_a_collapsed_module_is_one_structure_and_a_gate_is_replaced_exactly(tmp_path: Path) -> None:
    source = mixed_network.source(tmp_path / "trust")
    collapse = ["FactorizedReduce"]
    space = search_space(trace(mixed_network.Mixed(), torch.zeros(2, 1, 8, 8)), collapse=collapse)
    assert [s.name for s in space.removable] == ["reduce", "plain", "mix"]
    reduce, gate = space.removable[0], space.gates[0]
    request = jobs.Construct(
        source=source, erased=[reduce.id], gates=[gate.id], folder=tmp_path / "cut", collapse=collapse
    )
    report = jobs.submit(request).require().report
    assert report["max_relative_error"] < 1e-5
    assert (report["gates"], report["scaled"]) == ([gate.id], {"mul": 0.5})
    assert report["params_before"] - report["params_after"] == reduce.num_parameters + gate.num_parameters


def test_what_cannot_go_together_is_refused_in_the_words_of_the_library() -> None:
    job = jobs.submit(jobs.Construct(source=DEMONET, erased=[9, 10], folder="unused"))
    assert job.wait(240)
    assert (job.state, job.error_kind) == ("failed", "InvalidSparsityError")
    assert "cuts something required off" in job.error


def test_a_sub_network_that_was_deleted_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="was deleted"):
        jobs.submit(jobs.Reopen(folder=tmp_path, inputs=[(-1, 1, 28, 28)]))


def test_missing_weights_are_reported_before_a_worker_is_asked() -> None:
    with pytest.raises(WeightsError, match="no file of weights"):
        jobs.submit(jobs.Analyze(source=NetworkSource("demonet", weights="/nowhere/weights.safetensors")))


@pytest.mark.parametrize(
    ("name", "words"),
    [("vanishes", "exit code 3"), ("leaves", "had enough")],
)
def test_user_code_that_goes_wrong_fails_its_own_job_only(trust: tuple[str], name: str, words: str) -> None:
    warm = jobs.shared_client().pool.warm_pid
    job = jobs.submit(jobs.Analyze(source=NetworkSource(f"mine:{name}", trust=trust)))
    assert job.wait(240)
    assert job.state == "failed"
    assert words in job.error
    assert jobs.shared_client().pool.warm_pid == warm


def test_user_code_that_hoards_is_stopped(trust: tuple[str]) -> None:
    source = NetworkSource("mine:hoards", trust=trust)
    job = jobs.submit(jobs.Analyze(source=source), limits=jobs.Limits(240, 2500))
    assert job.wait(240)
    assert "more than its limit of 2500 MiB" in job.error


def test_user_code_that_prints_is_analysed(trust: tuple[str]) -> None:
    result = jobs.submit(jobs.Analyze(source=NetworkSource("mine:plain", trust=trust))).require()
    assert len(result.space.trace) == 3
