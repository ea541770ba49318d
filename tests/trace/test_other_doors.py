"""Programs of `torch.export` and graphs of `torch.fx` are traced; refusals name a change that works."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, fx, nn

import nasviz
from nasviz.errors import InputError, TraceError


class Skip(nn.Module):
    """A residual network, whose batch is a literal once it is exported with a fixed size."""

    def __init__(self) -> None:
        super().__init__()
        self.i, self.n, self.m, self.o = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.n(self.i(x)).relu()
        y = y + self.m(y) * x.shape[0]
        return self.o(y)


@pytest.mark.parametrize("is_free", [True, False])
def test_a_program_of_torch_export_is_cut(is_free: bool) -> None:
    torch.manual_seed(0)
    model, x = Skip().eval(), torch.randn(2, 4)
    axes = {"x": {0: torch.export.Dim("n", min=1)}} if is_free else None
    net = nasviz.trace(torch.export.export(model, (x,), dynamic_shapes=axes), x)
    space = nasviz.search_space(net)
    sub = nasviz.construct(net, space, [space.removable[0].id])

    assert sub.report.params_after < sub.report.params_before
    torch.testing.assert_close(net.eval()(x), model(x))
    assert net.parity.free_axes == {"x": (0,) if is_free else ()}
    if is_free:
        torch.testing.assert_close(net(x[:1]), model(x[:1]))
    else:
        with pytest.raises(InputError):
            net(torch.randn(3, 4))


def test_a_graph_of_torch_fx_is_traced_to_its_modules() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    net = nasviz.trace(fx.symbolic_trace(model), torch.randn(2, 4))
    assert len(nasviz.search_space(net).channels) == 8


def test_torchscript_and_the_meta_device_are_refused_in_a_sentence() -> None:
    with pytest.raises(TraceError, match="Python module that it was made from"):
        nasviz.trace(torch.jit.script(nn.Linear(2, 2)), torch.randn(2, 2))
    with pytest.raises(TraceError, match="meta device"):
        nasviz.trace(nn.Linear(2, 2, device="meta"), torch.randn(2, 2, device="meta"))


class Lengths(nn.Module):
    """Masks texts by their lengths."""

    def __init__(self, has_changed: bool) -> None:
        super().__init__()
        self.i, self.o, self.has_changed = nn.Linear(4, 8), nn.Linear(8, 2), has_changed

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        longest = x.shape[1] if self.has_changed else int(lengths.max())
        return self.o(self.i(x) * (torch.arange(longest) < lengths[:, None])[..., None])


class Gate(Lengths):
    """Doubles its values if they are large."""

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        y = self.i(x)
        if self.has_changed:
            return self.o(torch.where(y.sum() > 0, 2 * y, y))
        return self.o(2 * y if y.sum().item() > 0 else y)


@pytest.mark.parametrize(("kind", "change"), [(Lengths, r"x\.shape\[1\]"), (Gate, r"torch\.where")])
def test_the_named_change_of_the_code_works(kind: type[Lengths], change: str) -> None:
    inputs = torch.randn(3, 5, 4), torch.tensor([5, 3, 2])
    with pytest.raises(TraceError, match=rf"test_other_doors\.py:\d+: .*{change}") as refusal:
        nasviz.trace(kind(has_changed=False), inputs)
    assert str(refusal.value).count("data-dependent") == 1
    model = kind(has_changed=True)
    torch.testing.assert_close(nasviz.trace(model, inputs)(*inputs), model(*inputs))
