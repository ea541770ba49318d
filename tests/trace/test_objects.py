"""Dataclasses, caches and other objects pass through traced networks as through the module of the user."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import nasviz
from nasviz.errors import TraceError
from nasviz.trace.parity import leaf_paths, register_classes


@dataclass
class Output:
    scores: Tensor
    states: list[Any]
    loss: Tensor | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    left: Tensor
    right: Tensor
    factor: float = 2.0


class Layer:
    """One layer of a cache; empty until it is written to."""

    def __init__(self) -> None:
        self.dtype: torch.dtype | None = None
        self.keys: Tensor | None = None

    def update(self, keys: Tensor) -> None:
        self.dtype, self.keys = keys.dtype, keys


class Cache:
    def __init__(self, count: int) -> None:
        self.layers = [Layer() for _ in range(count)]


class WithObjects(nn.Module):
    """Takes one dataclass and returns another, which holds a cache; fields are used by the mode."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, pair: Pair) -> Output:
        cache = Cache(2)
        x = self.first(pair.left) + self.second(pair.left)
        for layer, value in zip(cache.layers, (x, x * pair.right), strict=True):
            layer.update(value)
        scores = self.head(x) * pair.factor
        if self.training:
            return Output(scores, [(x, x * pair.right)], scores.square().mean(1), "training")
        return Output(scores, [cache])


def pair() -> Pair:
    return Pair(torch.randn(2, 4), torch.randn(2, 4))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return nasviz.trace(WithObjects(), (pair(),))


def test_objects_keep_their_form_in_both_modes(network: nn.Module) -> None:
    assert network.parity.strategy == "export, training mode, any batch size"
    evaluated, trained = network.eval()(pair()), network.train()(pair())

    assert isinstance(evaluated, Output)
    assert [type(s) for s in evaluated.states] == [Cache]
    assert [layer.dtype for layer in evaluated.states[0].layers] == [torch.float32] * 2
    assert (evaluated.loss, evaluated.label, trained.label) == (None, "", "training")
    assert trained.loss.shape == (2,)


def test_a_subnetwork_keeps_the_form_and_is_traced_again(network: nn.Module) -> None:
    space = nasviz.search_space(network)
    sub = nasviz.construct(network, space, [space.removable[0].id])
    example = pair()
    again = nasviz.trace(sub.module, (example,))

    for small in (sub.module.eval(), again.eval()):
        output = small(example)
        assert isinstance(output.states[0], Cache)
        torch.testing.assert_close(output.states[0].layers[0].keys, network.second(example.left))


def test_a_form_may_change_between_calls_without_harm(network: nn.Module) -> None:
    first, second = (network.eval()(pair()) for _ in range(2))
    assert first.states[0] is not second.states[0]
    assert first.states[0].layers[0] is not second.states[0].layers[0]


def test_an_object_is_taken_apart_only_where_it_holds_tensors() -> None:
    class Plain:
        pass

    loop = SimpleNamespace()
    loop.itself = loop
    value = [Plain(), loop, nn.Linear(2, 2), "text"]
    register_classes(value)

    assert pytree.tree_leaves(value) == value


def test_ways_to_leaves_name_fields_keys_and_indices() -> None:
    value = {"a": Output(torch.ones(1), [torch.zeros(1)])}
    register_classes(value)

    names = [".".join(step.name for step in path) for path, leaf in leaf_paths(value) if leaf is not None]
    assert names == ["a.scores", "a.states.0"]


def test_a_class_that_hides_its_parts_is_refused_by_name() -> None:
    class Hidden:
        def __init__(self, x: Tensor) -> None:
            self.x = x

    pytree.register_pytree_node(Hidden, lambda h: ([h.x], None), lambda parts, _: Hidden(*parts))
    with pytest.raises(TraceError, match="class Hidden has no named parts"):
        list(leaf_paths(Hidden(torch.ones(1))))
