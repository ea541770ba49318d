"""Files of strangers are opened in a child that may be lost; the server sees plain data or one sentence."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import onnx
import psutil
import pytest
from onnx import helper

from nasviz import jobs
from nasviz.errors import OnnxError
from tests.onnx_viewer.models import conv, conv_tensors, model, written


def children_beside(before: set[psutil.Process]) -> set[psutil.Process]:
    """Processes below this one that neither were there before, nor come from one that was."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if before.isdisjoint([process, *process.parents()]):
                found.add(process)
    return found


@pytest.fixture(autouse=True)
def workers() -> Iterator[None]:
    before = set(psutil.Process().children(recursive=True))  # a browser of other tests, say
    yield
    jobs.close()
    deadline = time.monotonic() + 60
    while (left := children_beside(before)) and time.monotonic() < deadline:
        time.sleep(0.05)  # a child of its own ends just after its answer
    assert not left


def branches() -> onnx.ModelProto:
    """Two branches of which one can go."""
    nodes = [
        conv("x", "a", "left"),
        conv("x", "b", "right"),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    net = model(nodes, *conv_tensors("left", 4, 4), *conv_tensors("right", 4, 4), image=("n", 4, None, 8))
    net.producer_name = "pen and paper"
    return net


def test_a_file_becomes_a_search_space_in_the_form_of_an_analysis(tmp_path: Path) -> None:
    result = jobs.submit(
        jobs.ViewOnnx(path=written(tmp_path, branches()), protect=["left"], collapse=["right"])
    ).require()
    space = result.space
    assert (len(space.structures), len(space.removable), space.max_sparsity) == (2, 1, 1)
    assert list(space.segments.collapsed) == ["right"]
    assert space.trace.name == "net (ONNX opset 20, pen and paper)"
    assert result.parity == {}
    assert "to look at, not to train or cut" in result.rung
    assert result.warnings == ("axis 2 of x is open and shown as 224",)
    assert 0 < result.seconds < 60


def test_a_hostile_file_fails_its_job_with_one_sentence_and_opens_nothing(tmp_path: Path) -> None:
    net = branches()
    tensor = net.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location="$(touch canary)")
    tensor.ClearField("raw_data")
    job = jobs.submit(jobs.ViewOnnx(path=written(tmp_path, net)))
    assert job.wait(120)
    assert (job.state, job.error_kind, job.result) == ("failed", "OnnxError", None)
    assert job.error.startswith("this file keeps its weights in another file")
    assert [item.name for item in tmp_path.iterdir()] == ["net.onnx"]


def test_a_child_that_takes_too_much_is_stopped_and_the_next_file_is_read(tmp_path: Path) -> None:
    """Torch alone takes more than this limit."""
    path = written(tmp_path, branches())
    job = jobs.submit(jobs.ViewOnnx(path=path), limits=jobs.Limits(time_s=120, memory_mb=60))
    assert job.wait(120)
    assert job.state == "failed"
    assert "more than its limit of 60 MiB" in job.error
    assert jobs.submit(jobs.ViewOnnx(path=path)).require().space


def test_a_file_that_unfolds_in_memory_is_stopped_by_the_limit(tmp_path: Path) -> None:
    """40 MB of empty nodes, two bytes each, become more than 2 GB of objects."""
    path = tmp_path / "net.onnx"
    length, content = b"", 20_000_000 * b"\x0a\x00"
    number = len(content)
    while number > 127:
        length += bytes([number & 127 | 128])
        number >>= 7
    path.write_bytes(b"\x3a" + length + bytes([number]) + content)
    job = jobs.submit(jobs.ViewOnnx(path=path), limits=jobs.Limits(time_s=120, memory_mb=1500))
    assert job.wait(120)
    assert (job.state, job.error_kind) == ("failed", "LimitError")
    assert "more than its limit of 1500 MiB" in job.error


def test_a_file_that_is_gone_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(OnnxError, match="no such ONNX file"):
        jobs.submit(jobs.ViewOnnx(path=tmp_path / "gone.onnx"))
