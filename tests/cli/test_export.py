"""What a run has left is written in the forms that were asked for, and they read back."""

import csv
import json
import zipfile
from pathlib import Path

import onnx
import pytest
import torch

import nasviz as library
from nasviz.runs import Run, Store
from tests.cli.conftest import Command


def test_every_form_reads_back(done: Run, nasviz: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = (
        "--onnx",
        out / "a.onnx",
        "--folder",
        out / "b",
        "--csv",
        out / "c.csv",
        "--record",
        out / "d.json",
        "--onnx-plain",
        out / "e.onnx",
        "--pt2",
        out / "f.pt2",
        "--html",
        out / "g.html",
        "--replay",
        out / "j.html",
        "--model-explorer",
        out / "h.zip",
        "--figures",
        out / "i",
    )
    said = nasviz("export", done.id, "--runs", "@runs", *arguments)
    assert said.code == 0, said.err
    assert said.out.count("wrote ") == 10

    assert [path.name for path in (out / "i").iterdir()] == ["curves.svg"]
    images = torch.randn(3, 1, 8, 8)
    module = library.load(out / "b").eval()
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(out / "a.onnx", providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    torch.testing.assert_close(torch.from_numpy(answer), module(images), rtol=1e-4, atol=1e-5)
    program = torch.export.load(out / "f.pt2").module()
    torch.testing.assert_close(program(images), module(images), rtol=1e-4, atol=1e-5)
    plain, simple = (onnx.load(out / name) for name in ("e.onnx", "a.onnx"))
    norms = [node for node in plain.graph.node if node.op_type == "BatchNormalization"]
    assert len(plain.graph.node) >= len(simple.graph.node) + len(norms) > len(simple.graph.node)
    assert "<svg" not in (out / "g.html").read_text().split("<script")[0]
    assert zipfile.is_zipfile(out / "h.zip")
    rows = list(csv.DictReader((out / "c.csv").open()))
    assert len(rows) == done.tail().last_step + 1
    assert json.loads((out / "d.json").read_text())["end"]["state"] == "done"


def test_options_of_onnx(done: Run, nasviz: Command, tmp_path: Path) -> None:
    options = ("--opset", "15", "--free-axes", "0", "--input-names", "image", "--dtype", "float16")
    place = (done.id, "--runs", "@runs")
    said = nasviz("export", *place, "--onnx", tmp_path / "a.onnx", *options)

    assert "opset 15" in said.out, said.err
    model = onnx.load(tmp_path / "a.onnx")
    (given,) = model.graph.input
    assert (given.name, given.type.tensor_type.elem_type) == ("image", onnx.TensorProto.FLOAT16)
    assert [dim.dim_value for dim in given.type.tensor_type.shape.dim] == [0, 1, 8, 8]
    refused = nasviz("export", *place, "--csv", tmp_path / "a.csv", "--opset", "15")
    assert refused.code == 2
    assert "--onnx" in refused.err


def test_what_cannot_be_written_is_refused(done: Run, nasviz: Command, tmp_path: Path) -> None:
    place = (done.id, "--runs", "@runs")
    assert "nothing to export" in nasviz("export", *place).err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    assert "not empty" in nasviz("export", *place, "--folder", tmp_path / "full").err
    assert nasviz("export", *place, "--csv", tmp_path / "full" / "file" / "x.csv").code == 2
    assert (tmp_path / "full" / "file").read_text() == "mine"
    again = Store(tmp_path / "runs").create(done.settings)
    said = nasviz("export", again.id, "--runs", "@runs", "--onnx", tmp_path / "a.onnx")
    assert said.code == 2
    assert "has no sub-network" in said.err
