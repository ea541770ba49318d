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


class Tokens(nn.Module):
    """Attention over texts of any length, whose code computes with the length."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.qkv = nn.Embedding(9, 8), nn.Embedding(16, 8), nn.Linear(8, 24)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        b, n = tokens.shape
        x = self.words(tokens) + self.places(torch.arange(n))
        q, k, v = (part.view(b, n, 2, 4).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return y.transpose(1, 2).reshape(b * n, 8)


@pytest.fixture(scope="module")
def tokens() -> nasviz.Subnetwork:
    net = nasviz.trace(Tokens(), torch.randint(0, 9, (2, 8)))
    return nasviz.construct(net, nasviz.search_space(net), ())


@pytest.mark.parametrize("opset", [13, 17, 18])
def test_a_text_of_any_length_at_any_opset(tokens: nasviz.Subnetwork, opset: int, tmp_path: Path) -> None:
    export = nasviz.export_onnx(
        tokens, tmp_path / "model.onnx", opset=opset, input_names=["ids"], output_names=["states"]
    )

    assert (export.opset, export.free_axes) == (opset, {"ids": (0, 1)})
    session = onnxruntime.InferenceSession(export.path)
    for size in ((1, 3), (3, 11)):
        ids = torch.randint(0, 9, size)
        (found,) = session.run(["states"], {"ids": ids.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), tokens.module(ids), rtol=1e-4, atol=1e-5)


def test_chosen_axes_and_another_precision(tmp_path: Path) -> None:
    net = nasviz.trace(networks.Branches(nn.Identity()), torch.randn(2, 2, 8, 8)).eval()
    before = {name: value.dtype for name, value in net.state_dict().items()}
    export = nasviz.export_onnx(net, tmp_path / "half.onnx", free_axes=[0], dtype=torch.float16, opset=18)

    assert export.free_axes == {"input": (0,)}
    (fed,) = onnxruntime.InferenceSession(export.path).get_inputs()
    assert (fed.type, fed.shape[1:]) == ("tensor(float16)", [2, 8, 8])
    assert before == {name: value.dtype for name, value in net.state_dict().items()}


def test_large_weights_lie_in_a_second_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasviz.subnet.exports._LARGEST_FILE", 100)
    export = nasviz.export_onnx(nn.Linear(9, 300), tmp_path / "model.onnx", inputs=torch.randn(2, 9))

    files = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert len(files) == 2
    assert sum(files.values()) == export.size_bytes
    assert files["model.onnx"] < 9 * 300 * 4
    onnxruntime.InferenceSession(export.path).run(None, {"input": torch.randn(4, 9).numpy()})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opset": 12}, "13 to 20"),
        ({"opset": 17, "simplify": False}, "18 or later"),
        ({"dtype": torch.int64}, "float16"),
        ({"free_axes": {"ids": [0]}}, "the inputs are tokens"),
        ({"free_axes": [2]}, "axis 2 of tokens is fixed"),
        ({"input_names": ["a", "b"]}, "1 different names"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    tokens: nasviz.Subnetwork, options: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=message):
        nasviz.export_onnx(tokens, tmp_path / "model.onnx", **options)
    assert not list(tmp_path.iterdir())
