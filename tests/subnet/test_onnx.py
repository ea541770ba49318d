"""An exported file computes what the network computes, or is not there."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import nn

import nasviz
from nasviz.errors import ExportError
from tests.subnet import networks
from tests.subnet.test_files import constructed


class Forms(nn.Module):
    """Two inputs; a dict with a tuple in it comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (networks.conv_norm(2, 3) for _ in range(3))

    def forward(self, image: torch.Tensor, other: torch.Tensor):
        x = self.a(image) + self.b(image)
        return {"mask": x, "pair": (self.c(other), x.mean([2, 3]))}


def test_a_subnetwork_reads_back(tmp_path: Path) -> None:
    sub = constructed(networks.Branches(networks.MATERIALISED_TAILS["group norm"]()), torch.randn(2, 2, 8, 8))
    sub.module.train()

    export = nasviz.export_onnx(sub, tmp_path / "deep" / "model.onnx")

    assert export.max_relative_error < 1e-5
    assert export.path.stat().st_size == export.size_bytes
    assert sub.module.training
    assert [p.name for p in export.path.parent.iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(export.path)
    for batch in (1, 5):
        assert session.run(None, {"input": torch.randn(batch, 2, 8, 8).numpy()})[0].shape[0] == batch


def test_dicts_and_tuples_become_named_outputs(tmp_path: Path) -> None:
    fed = {"image": torch.randn(2, 2, 8, 8), "other": torch.randn(2, 2, 4, 4)}
    net = nasviz.trace(Forms(), fed)
    for network, inputs in [(net, None), (Forms(), fed), (Forms(), tuple(fed.values()))]:
        export = nasviz.export_onnx(network, tmp_path / "model.onnx", inputs=inputs)
        assert export.outputs == ("mask", "output_1", "output_2")
        assert export.inputs == ("input_0", "input_1")


def test_a_loaded_network_knows_its_inputs(tmp_path: Path) -> None:
    sub = constructed(networks.Auxiliary(), torch.randn(2, 2, 8, 8))
    loaded = nasviz.load(nasviz.save(sub, tmp_path))
    assert nasviz.export_onnx(loaded, tmp_path / "model.onnx").outputs == ("output",)


def test_a_module_that_does_not_know_its_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="inputs="):
        nasviz.export_onnx(nn.Linear(2, 3), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_failed_export_leaves_an_older_file_alone(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.matrix_exp(x)

    (tmp_path / "model.onnx").write_bytes(b"older")
    with pytest.raises(ExportError, match=r"cannot export Odd: .*matrix_exp"):
        nasviz.export_onnx(Odd(), tmp_path / "model.onnx", inputs=torch.randn(2, 3, 3))
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"older"]


def test_a_file_that_computes_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = onnxruntime.InferenceSession.run
    monkeypatch.setattr(onnxruntime.InferenceSession, "run", lambda *args: [o + 1 for o in run(*args)])
    with pytest.raises(ExportError, match="does not compute what the network computes"):
        nasviz.export_onnx(nn.Linear(2, 3), tmp_path / "model.onnx", inputs=torch.randn(2, 2))
    assert not list(tmp_path.iterdir())
