"""A module that no rule writes down is imported by name in the Python source, and nowhere named as data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchvision  # noqa: F401  brings its operators
from torch import nn

import nasviz
from nasviz.errors import ExportError, GraphError
from nasviz.subnet.modules import import_of
from tests.subnet.third_party_layers import DropPath, Residual

ROOT = Path(__file__).parents[2]
PATH = "tests.subnet.third_party_layers.DropPath"


def cut(dropped: nn.Module) -> nasviz.subnet.Subnetwork:
    torch.manual_seed(0)
    network = nasviz.trace(Residual(dropped), torch.randn(2, 1, 6, 6))
    space = nasviz.search_space(network)
    two = next(s.id for s in space.removable if "two.0.weight" in s.parameter_names)
    return nasviz.construct(network, space, [two])


def test_its_source_imports_the_class_runs_and_says_so(tmp_path: Path) -> None:
    sub = cut(DropPath(0.25, mode="batch"))
    folder = nasviz.save(sub, tmp_path / "sub")
    assert sorted(file.name for file in folder.iterdir()) == [
        "checksums.json",
        "model.py",
        "report.json",
        "weights.safetensors",
    ]
    assert json.loads((folder / "report.json").read_text())["imports"] == [PATH]
    source = (folder / "model.py").read_text()
    assert f"It also imports {PATH}" in source.split('"""')[1]
    assert f"{PATH}(rate=0.25, mode='batch')" in source

    images = torch.randn(3, 1, 6, 6)
    torch.save((images, sub.module.eval()(images)), tmp_path / "expected.pt")
    code = (
        "import runpy, sys, torch\n"
        f"images, expected = torch.load({str(tmp_path / 'expected.pt')!r})\n"
        f"network = runpy.run_path({str(folder / 'model.py')!r})['load']().eval()\n"
        "torch.testing.assert_close(network(images), expected)\n"
        "assert network.dropped.rate == 0.25 and 'nasviz' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_it_is_not_built_from_data(tmp_path: Path) -> None:
    folder = nasviz.save(cut(DropPath(0.25)), tmp_path)
    with pytest.raises(GraphError, match=rf"holds {PATH}, not loadable as data"):
        nasviz.load(folder)


def test_an_older_description_in_the_folder_goes(tmp_path: Path) -> None:
    nasviz.save(cut(nn.Identity()), tmp_path)
    assert (tmp_path / "graph.json").is_file()
    nasviz.save(cut(DropPath(0.25)), tmp_path)
    assert not (tmp_path / "graph.json").exists()


@pytest.mark.parametrize("function", [torch.linalg.pinv, torch.ops.torchvision.nms.default])
def test_an_operator_that_is_not_torchs_own_is_refused_beside_it(function: object, tmp_path: Path) -> None:
    sub = cut(DropPath(0.25))
    node = next(n for n in sub.module.graph.nodes if n.op == "call_function")
    node.target = function
    with pytest.raises(ExportError, match="not an operator of torch"):
        nasviz.save(sub, tmp_path / "new")
    assert not (tmp_path / "new").exists()


class Forgetful(nn.Module):
    """Keeps what it was made with under another name."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.chance = rate


class Wrong(nn.Module):
    """Its attributes do not determine how it was made."""

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        self.chance = rate


def test_what_cannot_be_imported_is_refused_with_the_reason() -> None:
    class Local(nn.Module):
        pass

    for module, words in (
        (Local(), "at the top of a file"),
        (Forgetful(0.5), "argument rate"),
        (Wrong(0.25), "do not determine how it was made"),
        (nn.LSTMCell(2, 2), "holds tensors"),
    ):
        with pytest.raises(ExportError, match=words):
            import_of(module)
