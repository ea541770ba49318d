"""Ways to train: mixed precision, memory formats, accumulated gradients, several processes, a GPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import nasviz
from nasviz.optim import H2SPG, Selection
from tests.optim import ddp_child
from tests.optim.problems import BASES, build, equal, h2spg

ROOT = Path(__file__).parents[2]


def batch(step: int, num: int = 16):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(num, 4, generator=generator), torch.randint(3, (num,), generator=generator)


def assert_exact_zeros(net):
    for name, mask in net.zeros().items():
        values = dict(net.named_parameters())[name].cpu()
        assert not values[mask].any(), name
        assert values[~mask].all(), name


@pytest.mark.parametrize("base", ["sgd momentum", "sgd dampening", "sgd nesterov", "adam amsgrad", "adamw"])
def test_under_autocast_it_is_the_inner_optimizer_and_zeros_are_exact(base):
    plain, net, cut = build(), build(), build()
    optimizers = (
        BASES[base](list(plain.parameters())),
        h2spg(net, base, selection=Selection(())),
        h2spg(cut, base),
    )
    for step in range(12):
        x, y = batch(step)
        for one, optimizer in zip((plain, net, cut), optimizers, strict=True):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                loss = nn.functional.cross_entropy(one(x), y)
            loss.backward()
            optimizer.step()
    assert equal(plain, net)
    assert_exact_zeros(cut)
    assert optimizers[2].score_vector.dtype == torch.float64  # never scored in half precision


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)
        self.one, self.other = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 5, padding=2)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.head(torch.relu(self.one(x) + self.other(x)).mean(dim=(2, 3)))


@pytest.mark.parametrize("saliency", ["taylor", "documents"])
def test_channels_last_changes_neither_scores_nor_zeros(saliency):
    found = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        net = nasviz.trace(Convolutions().double(), torch.randn(2, 3, 6, 6, dtype=torch.float64))
        net = net.to(memory_format=memory_format)
        space = nasviz.search_space(net)
        optimizer = nasviz.optim.create(
            "h2spg",
            net,
            space,
            lr=0.05,
            momentum=0.9,
            target_sparsity=1,
            warmup_steps=3,
            projection_steps=3,
            saliency=saliency,
        )
        for step in range(8):
            generator = torch.Generator().manual_seed(step)
            x = torch.randn(4, 3, 6, 6, generator=generator, dtype=torch.float64)
            optimizer.zero_grad()
            net(x.to(memory_format=memory_format)).square().mean().backward()
            optimizer.step()
        weights = [net.get_parameter(f"{name}.weight") for name in ("stem", "one", "other")]
        assert all(w.is_contiguous(memory_format=memory_format) for w in weights)
        gone = [name for i in optimizer.selected for name in space.structure(i).parameter_names]
        assert gone
        assert not any(net.get_parameter(name).any() for name in gone)
        found.append(
            (optimizer.scores, optimizer.selected, {n: p.detach() for n, p in net.named_parameters()})
        )
    (scores, selected, weights), (other_scores, other_selected, other_weights) = found
    assert selected == other_selected
    assert scores == pytest.approx(other_scores, rel=1e-9)
    torch.testing.assert_close(weights, other_weights, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("base", ["sgd momentum", "adamw"])
def test_accumulated_gradients_are_one_step(base):
    class Plain(type(build())):
        def __init__(self):
            super().__init__()
            self.norm = nn.LayerNorm(11)  # batch statistics would tell the halves apart

    nets = []
    for _ in range(2):
        torch.manual_seed(0)
        nets.append(Plain().double())
    whole, parts = (h2spg(net, base) for net in nets)
    for step in range(12):
        x, y = (t.double() if t.is_floating_point() else t for t in batch(step))
        for net, optimizer, pieces in zip(nets, (whole, parts), (1, 4), strict=True):
            optimizer.zero_grad()
            for part, labels in zip(x.chunk(pieces), y.chunk(pieces), strict=True):
                (nn.functional.cross_entropy(net(part), labels) / pieces).backward()
            optimizer.step()
    assert whole.num_steps == parts.num_steps == 12
    assert whole.scores == pytest.approx(parts.scores, rel=1e-9)
    weights = [dict(net.named_parameters()) for net in nets]
    torch.testing.assert_close(*weights, rtol=1e-9, atol=1e-12)
    for net in nets:
        assert_exact_zeros(net)


def test_two_processes_select_and_train_what_one_does(tmp_path):
    base = "sgd"
    command = [sys.executable, "-m", "tests.optim.ddp_child", base]
    children = [
        subprocess.Popen([*command, str(rank), "2", str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    alone = ddp_child.train(base, 0, 1)
    for child in children:
        _, errors = child.communicate(timeout=120)
        assert child.returncode == 0, errors.decode()
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first["scores"] == second["scores"]
    for name, weight in first["weights"].items():
        assert torch.equal(weight, second["weights"][name]), name
    assert first["selected"] == second["selected"] == alone["selected"]
    assert first["zeroed_by"] == alone["zeroed_by"]
    assert len(alone["selected"]) == ddp_child.K
    assert first["scores"] == pytest.approx(alone["scores"], rel=1e-9)
    torch.testing.assert_close(first["weights"], alone["weights"], rtol=1e-9, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.parametrize("path", [{"foreach": True}, {"fused": True}, {"foreach": False}])
@pytest.mark.parametrize("precision", ["single", "half, scaled", "bfloat16"])
def test_on_a_gpu_every_path_and_precision_ends_at_exact_zeros(path, precision):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    net = build().cuda()
    inner = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, **path)
    selection = net.selection()
    optimizer = H2SPG(inner, net.groups(), lambda scores: selection, warmup_steps=4, projection_steps=5)
    scaler = torch.amp.GradScaler("cuda", enabled=precision == "half, scaled")
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float16
    for step in range(14):
        x, y = (t.cuda() for t in batch(step))
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype, enabled=precision != "single"):
            loss = nn.functional.cross_entropy(net(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    assert optimizer.phase == "training"
    assert_exact_zeros(net)


WATCHED = {
    "both": {},
    "halfspace": {"projection": "halfspace", "epsilon": 0.9},
    "progressive": {"projection": "progressive"},
    "documents": {"saliency": "documents"},
    "taylor": {"saliency": "taylor"},
}


@pytest.mark.gpu
@pytest.mark.parametrize("settings", WATCHED.values(), ids=list(WATCHED))
@pytest.mark.parametrize("is_partial", [False, True], ids=["all gradients", "one is missing"])
def test_on_a_gpu_no_step_waits_for_a_value(settings, is_partial):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    net = build().cuda()
    optimizer = h2spg(net, warmup_steps=4, projection_steps=50, **settings)
    for step in range(12):
        x, y = (t.cuda() for t in batch(step))
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        if is_partial:
            net.a.weight.grad = None
        is_selecting = step == 3
        torch.cuda.set_sync_debug_mode("default" if is_selecting else "error")
        try:
            optimizer.step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert optimizer.phase == "projection"


@pytest.mark.gpu
def test_on_a_gpu_no_step_after_the_projection_waits_either():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    net = build().cuda()
    optimizer = h2spg(net, warmup_steps=2, projection_steps=2)
    for step in range(8):
        x, y = (t.cuda() for t in batch(step))
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        torch.cuda.set_sync_debug_mode("error" if step > 3 else "default")
        try:
            optimizer.step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert optimizer.phase == "training"
