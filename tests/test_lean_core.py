"""`pip install nasviz` alone: everything but pages, plots, ONNX and the zoo works without any extra."""

import subprocess
import sys
from pathlib import Path

from nasviz.extras import EXTRAS

HIDE = f"""
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
hidden = {sorted(EXTRAS)!r}
PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] in hidden else find(name, *rest)
"""
WORK = """
import torch, nasviz
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.left, self.right, self.head = (nn.Linear(4, 4) for _ in range(4))
    def forward(self, x):
        x = self.first(x).relu()
        return self.head(self.left(x).relu() + self.right(x).relu())
torch.manual_seed(0)
net = nasviz.trace(Net(), torch.randn(2, 4))
space = nasviz.search_space(net)
settings = {"lr": 0.1, "target_sparsity": 1, "warmup_steps": 2, "projection_steps": 4}
optimizer = nasviz.optim.create("h2spg", net, space, **settings)
for _ in range(8):
    optimizer.zero_grad()
    net(torch.randn(8, 4)).square().mean().backward()
    optimizer.step()
sub = nasviz.construct(net, space)
assert sub.report.params_after < sub.report.params_before
assert sub.report.max_relative_error < 1e-5
nasviz.save(sub, "smaller")
nasviz.load("smaller")
try:
    nasviz.export_onnx(sub, "smaller.onnx")
except nasviz.NasvizError as error:
    print(error)
from nasviz.cli import main
print(main(["analyze", "resnet18"]))
"""


def test_an_own_network_is_cut_without_extras_and_what_needs_one_names_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HIDE + WORK], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "pip install 'nasviz[onnx]'" in done.stdout
    assert not (tmp_path / "smaller.onnx").exists()
    assert done.stdout.endswith("2\n")
    assert "pip install 'nasviz[app]'" in done.stderr
    assert "Traceback" not in done.stderr
