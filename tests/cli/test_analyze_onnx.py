"""`nasviz analyze FILE.onnx` says of a file what it says of a network, and refuses in one line."""

import json
from pathlib import Path

from onnx import helper

from tests.cli.conftest import Command
from tests.onnx_viewer.models import conv, conv_tensors, model, written


def test_a_file_is_told_like_a_network(nasviz: Command, tmp_path: Path) -> None:
    nodes = [conv("x", "a", "left"), conv("x", "b", "right"), helper.make_node("Add", ["a", "b"], ["y"])]
    net = model(nodes, *conv_tensors("left", 4, 4), *conv_tensors("right", 4, 4))
    said = nasviz("analyze", written(tmp_path, net), "--json")
    found = json.loads(said.out)
    assert (found["removable"], found["max_sparsity"], found["parity"]) == (2, 1, {})
    assert [s["saved_parameters"] for s in found["structures"]] == [20, 20]


def test_a_file_that_is_none_is_refused_in_one_line(nasviz: Command, tmp_path: Path) -> None:
    said = nasviz("analyze", written(tmp_path, b"#!/bin/sh\ntouch canary\n"))
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("nasviz: this is no ONNX file")
    assert said.err.count("\n") == 1
    assert [item.name for item in tmp_path.iterdir()] == ["net.onnx"]
