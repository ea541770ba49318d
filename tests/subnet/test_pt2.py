"""A .pt2 file computes what the network computes, for any batch size, and is read by torch alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import nasviz
from nasviz.errors import ExportError
from nasviz.subnet import export_pt2
from tests.mixed_network import Mixed


def test_a_sub_network_is_read_back_by_torch_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nasviz.trace(Mixed(channels=3), torch.randn(2, 3, 8, 8))
    space = nasviz.search_space(network)
    sub = nasviz.construct(network, space, [space.removable[0].id])
    exported = export_pt2(sub, tmp_path / "new" / "model.pt2")
    assert exported.max_relative_error < 1e-6
    assert exported.size_bytes == exported.path.stat().st_size
    images = torch.randn(5, 3, 8, 8)
    expected = sub.module.eval()(images)
    torch.save((images, expected), tmp_path / "expected.pt")
    code = (
        "import sys, torch\n"
        f"images, expected = torch.load({str(tmp_path / 'expected.pt')!r})\n"
        f"network = torch.export.load({str(exported.path)!r}).module()\n"
        "torch.testing.assert_close(network(images), expected)\n"
        "assert 'nasviz' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


class Fickle(nn.Module):
    """What it computes depends on how often it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x * self.calls


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize("network", [Fickle(), Branching()], ids=lambda module: type(module).__name__)
def test_what_does_not_read_back_is_not_left_there(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ExportError):
        export_pt2(network, tmp_path / "model.pt2", inputs=torch.ones(2, 3))
    assert list(tmp_path.iterdir()) == []


def test_the_name_that_torch_asks_for_is_asked_for_first(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"ends in \.pt2"):
        export_pt2(nn.Linear(2, 2), tmp_path / "model.pt", inputs=torch.ones(2, 2))
