"""Networks run one after the other give what each of them gives alone, and common calls run once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

import nasviz
from nasviz.subnet import program as cached_execution
from nasviz.subnet.program import CallCache, Program
from nasviz.subnet.program import run as run_program
from nasviz.subnet.zero import shallow_copy
from tests.subnet import networks

X = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))


def traced() -> fx.GraphModule:
    torch.manual_seed(0)
    return nasviz.trace(networks.Branches(networks.conv_norm(12, 3)), X).eval()


def calls(net: fx.GraphModule) -> dict[str, int]:
    """Counts the calls of the leaves of `net` from now on, by path."""
    counts: dict[str, int] = {}
    for path, module in net.named_modules():
        if not list(module.children()):
            counts[path] = 0

            def count(*_: object, path: str = path) -> None:
                counts[path] += 1

            module.register_forward_hook(count)
    return counts


def run(net: fx.GraphModule, inputs: tuple[Tensor, ...], cache: CallCache, *, store: bool = False) -> Any:
    return run_program(Program(net), inputs, cache, store=store)


def remembered(net: fx.GraphModule) -> CallCache:
    cache = CallCache()
    run(net, (X,), cache, store=True)
    return cache


@torch.no_grad()
def test_a_copy_computes_nothing_again() -> None:
    net = traced()
    cache, copied = remembered(net), shallow_copy(net)
    counts = calls(copied)
    assert torch.equal(run(copied, (X,), cache), net(X))
    assert not any(counts.values())


def shift_weight(net: fx.GraphModule) -> None:
    net.get_parameter("b.0.weight").data = net.get_parameter("b.0.weight") + 1


def shift_statistics(net: fx.GraphModule) -> None:
    net.get_buffer("b.1.running_mean").add_(1)


def change_mode(net: fx.GraphModule) -> None:
    net.b.get_submodule("1").train()


def change_setting(net: fx.GraphModule) -> None:
    net.b.get_submodule("1").eps = 0.5


@pytest.mark.parametrize("change", [shift_weight, shift_statistics, change_mode, change_setting])
@torch.no_grad()
def test_what_differs_is_computed(change: Callable[[fx.GraphModule], None]) -> None:
    net = traced()
    cache = remembered(net)
    other = traced()
    change(other)
    counts = calls(other)

    found = run(other, (X,), cache)

    assert counts["a.0"] == counts["a.1"] == counts["stem"] == 0
    assert counts["b.1"] == counts["tail.0"] == 1
    change(alone := traced())
    assert torch.equal(found, alone(X))
    assert not torch.equal(found, net(X))


@torch.no_grad()
def test_other_inputs_are_computed() -> None:
    net = traced()
    assert torch.equal(run(net, (X + 1,), remembered(net)), net(X + 1))


@torch.no_grad()
def test_products_with_zeros_are_not_computed() -> None:
    net = traced()
    names = [name for name, _ in net.named_parameters() if name.startswith("b.0")]
    for name in names:
        net.get_parameter(name).zero_()
    wanted, counts = net(X), calls(net)
    assert torch.equal(run_program(Program(net, silent=names), (X,), CallCache()), wanted)
    assert counts["b.0"] == 0
    assert counts["a.0"] == 1


@torch.no_grad()
def test_without_room_everything_is_computed() -> None:
    net = traced()
    cache = CallCache(capacity=0)
    run(net, (X,), cache, store=True)
    assert not [call for call in cache.calls.values() if isinstance(call.value, Tensor)]
    assert torch.equal(run(net, (X,), cache), net(X))


@torch.no_grad()
def test_networks_that_write_in_place_are_run_as_they_are() -> None:
    net = fx.symbolic_trace(nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(inplace=True)))
    cache = remembered(net)
    assert not cache.calls
    assert torch.equal(run(net, (X,), cache), net(X))


@torch.no_grad()
def test_random_numbers_are_drawn_anew() -> None:
    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * torch.bernoulli(torch.full_like(x, 0.5))

    net = nasviz.trace(Noisy(), X)
    cache = remembered(net)
    assert not torch.equal(run(net, (X,), cache), run(net, (X,), cache))


@torch.no_grad()
def test_what_zeros_read_is_not_computed() -> None:
    net = traced()
    names = [name for name, _ in net.named_parameters() if name.startswith("tail.0")]
    for name in names:
        net.get_parameter(name).zero_()
    wanted, counts = net(X), calls(net)
    program, shared = Program(net, silent=names), CallCache()
    for _ in range(2):  # the second time sizes are known
        assert torch.equal(run_program(program, (X,), shared), wanted)
    assert counts["b.0"] == counts["b.1"] == counts["tail.0"] == 0


@torch.no_grad()
def test_replaced_tensors_are_read_and_the_network_keeps_its_own() -> None:
    net = traced()
    before, fresh = net(X), torch.full_like(net.get_parameter("b.0.weight"), 0.5)
    found = run_program(Program(net, {"b.0.weight": fresh}), (X,), remembered(net))
    assert torch.equal(net(X), before)
    net.get_parameter("b.0.weight").data = fresh
    assert torch.equal(found, net(X))


class Attention(nn.Module):
    """A block as transformers have it: norm, projections, attention, GELU."""

    def __init__(self, p: float = 0.0) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
        self.wide, self.narrow = nn.Linear(8, 5), nn.Linear(5, 8)
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x.flatten(1, 2))).unflatten(2, (2, 12)).transpose(1, 2).chunk(3, dim=-1)
        drops = self.p if self.training else 0.0
        seen = functional.scaled_dot_product_attention(q, k, v, dropout_p=drops)
        seen = self.out(seen.transpose(1, 2).flatten(2))
        return seen + self.narrow(functional.gelu(self.wide(seen)) * 2)


@pytest.mark.parametrize("p", [0.0, 0.5])
@torch.no_grad()
def test_attention_that_drops_nothing_is_computed_once(monkeypatch: pytest.MonkeyPatch, p: float) -> None:
    torch.manual_seed(0)
    net = nasviz.trace(Attention(p), X).eval()
    cache, made = remembered(net), []
    call = cached_execution._call
    monkeypatch.setattr(cached_execution, "_call", lambda *v: made.append(v[0].node) or call(*v))
    assert torch.equal(run(net, (X,), cache), net(X))
    assert not made


@torch.no_grad()
def test_shapes_of_attention_norms_and_activations_are_known() -> None:
    torch.manual_seed(0)
    net = nasviz.trace(Attention(), X).eval()
    values = values_in(net)
    program = Program(net, silent=["out.weight", "out.bias", "narrow.weight", "narrow.bias"])
    found = {
        step.node: cached_execution._shape_only(step, values) for step in program.steps if step.is_shape_only
    }
    shapes = {node: value.shape for node, value in found.items() if isinstance(value, Tensor)}
    assert len(shapes) > 8
    assert shapes == {node: values[node].shape for node in shapes}


def values_in(net: fx.GraphModule) -> dict[fx.Node, Any]:
    """What every node of a network is for `X`."""
    values: dict[fx.Node, Any] = {}

    class Watching(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            values[n] = super().run_node(n)
            return values[n]

    Watching(net).run(X)
    return values
