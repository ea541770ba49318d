"""A traced network is the user's network: same answers, same modules, same names."""

import copy
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

import nasviz
from nasviz.trace import TracedNetwork, trace
from tests.trace.networks import NETWORKS, CalledTwice, Deep, Dropouts, Residual, Tied, WithoutGradient

NAMES = sorted(NETWORKS)


def build(name: str) -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    network, example = NETWORKS[name]
    return network(), example


@cache
def traced(name: str) -> tuple[nn.Module, Any, TracedNetwork]:
    """One trace for all tests that only look at it."""
    model, example = build(name)
    return model, example, trace(model, example)


def call(network: nn.Module, example: Any) -> Any:
    if isinstance(example, dict):
        return network(**example)
    return network(*example) if isinstance(example, tuple) else network(example)


def snapshot(model: nn.Module) -> list[tuple[Any, ...]]:
    tensors = {n: t.detach().clone() for n, t in [*model.named_parameters(), *model.named_buffers()]}
    return [
        (path, id(module), module.training, sorted(vars(module)), len(module._forward_hooks))
        for path, module in model.named_modules()
    ] + [(name, tensor.sum().item(), tensor.flatten().tolist()) for name, tensor in tensors.items()]


@pytest.mark.parametrize("name", NAMES)
def test_the_best_way_is_exact_in_both_modes(name: str) -> None:
    _, _, network = traced(name)

    assert network.parity.strategy.startswith("export, training mode, any batch size")
    assert set(network.parity.max_relative_error) >= {"eval", "batch", "train"}
    assert network.parity.worst < 1e-6
    assert network.parity.warnings == ()


@pytest.mark.parametrize("name", NAMES)
def test_the_state_dict_is_the_users(name: str) -> None:
    model, _, network = traced(name)

    mine, users = network.state_dict(keep_vars=True), model.state_dict(keep_vars=True)
    assert list(mine) == list(users)
    assert all(mine[key] is users[key] for key in users)


@pytest.mark.parametrize("name", NAMES)
def test_tracing_leaves_the_model_as_it_was(name: str) -> None:
    model, example = build(name)
    model.train()
    next(model.children()).eval()
    before, state = snapshot(model), torch.get_rng_state()

    trace(model, example)

    assert snapshot(model) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_vertices_are_the_nodes_that_depend_on_the_input(name: str) -> None:
    _, _, network = traced(name)
    nodes = {node.name: node for node in network.graph.nodes}

    for vertex in network.trace_graph:
        node = nodes[vertex.id]
        read = [n.name for n in node.all_input_nodes]
        assert set(vertex.inputs) <= set(read)
        assert vertex.module == (node.target if node.op == "call_module" else "")
        for parameter in vertex.parameters:
            network.get_parameter(parameter)
    network.trace_graph.lint()
    network.graph.lint()


@pytest.mark.parametrize("name", NAMES)
def test_tracing_again_changes_nothing(name: str) -> None:
    _, example, network = traced(name)
    again = trace(network, example)

    assert list(again.state_dict()) == list(network.state_dict())
    assert [node.name for node in again.graph.nodes] == [node.name for node in network.graph.nodes]
    assert [(v.name, v.operator, v.scope, v.source) for v in again.trace_graph] == [
        (v.name, v.operator, v.scope, v.source) for v in network.trace_graph
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_is_a_traced_network_with_its_own_parameters(name: str) -> None:
    _, example, network = traced(name)
    network.eval()
    twin = copy.deepcopy(network)

    assert isinstance(twin, TracedNetwork)
    assert twin.trace_graph is network.trace_graph
    assert twin.parity is network.parity
    assert list(twin.state_dict()) == list(network.state_dict())
    assert [n for n, _ in twin.named_buffers()] == [n for n, _ in network.named_buffers()]
    ours = {id(p) for p in network.parameters()}
    assert not ours & {id(p) for p in twin.parameters()}
    torch.testing.assert_close(call(twin, example), call(network, example), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_training_the_traced_network_trains_the_users(name: str) -> None:
    model, example = build(name)
    twin = copy.deepcopy(model)
    network = trace(model, example)

    for trained in (network, twin):
        trained.train()
        torch.manual_seed(3)
        output = call(trained, example)
        tensors = [t for t in torch.utils._pytree.tree_leaves(output) if isinstance(t, Tensor)]
        sum(t.square().sum() for t in tensors).backward()

    for (key, mine), users in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert (mine.grad is None) == (users.grad is None), key
        if mine.grad is not None:
            torch.testing.assert_close(mine.grad, users.grad)
    torch.testing.assert_close(dict(model.named_buffers()), dict(twin.named_buffers()))


def test_modules_are_shared_not_copied() -> None:
    model, example = build("in_place")
    network = trace(model, example)

    called = [node.target for node in network.graph.nodes if node.op == "call_module"]
    assert called == ["stem", "blocks.0.conv", "blocks.0.norm", "blocks.1.conv", "blocks.1.norm", "head"]
    assert all(network.get_submodule(path) is model.get_submodule(path) for path in called)


def test_nothing_is_written_in_place() -> None:
    model, example = build("writes_through_views")
    network = trace(model, example)

    for node in network.graph.nodes:
        if node.op == "call_function" and hasattr(node.target, "_schema"):
            assert not node.target._schema.is_mutable


def test_a_dropout_that_writes_in_place_is_replaced_by_one_that_does_not() -> None:
    network = trace(Dropouts(), torch.randn(2, 16))

    assert not any(getattr(module, "inplace", False) for module in network.modules())
    assert network.eval().drop_in_place.training is False


def test_one_module_called_twice_is_two_vertices_that_share_parameters() -> None:
    graph = trace(CalledTwice(), torch.randn(2, 6)).trace_graph

    assert [v.name for v in graph] == ["linear", "tanh", "linear_1"]
    assert graph["linear"].parameters == graph["linear_1"].parameters == ("linear.weight", "linear.bias")


def test_a_tied_parameter_has_one_name_and_all_its_keys() -> None:
    network = trace(Tied(), torch.tensor([[0, 1, 2]]))

    assert list(network.state_dict()) == ["tokens.weight", "scores.weight"]
    assert [v.parameters for v in network.trace_graph if v.parameters] == [("tokens.weight",)] * 2
    assert network.trace_graph.num_parameters == 42
    assert [v.module for v in network.trace_graph if v.module] == ["tokens", "scores"]


def test_a_region_without_gradient_stays_without() -> None:
    model = WithoutGradient()
    trace(model, torch.randn(2, 4))(torch.randn(3, 4)).sum().backward()

    assert model.gate.weight.grad is None
    assert model.linear.weight.grad is not None


def test_random_depth_is_one_vertex_on_the_users_module() -> None:
    model = Deep()
    network = trace(model, torch.randn(4, 8))

    assert network.trace_graph["drop_path"].operator == "stochastic_depth"
    assert network.drop_path is model.drop_path


def test_the_batch_is_read_from_the_input_alone() -> None:
    model, example = build("reshapes")
    network = trace(model, example)

    sizes = [node for node in network.graph.nodes if "sym_size" in str(node.target)]
    assert sizes
    assert all(node.args[0].op == "placeholder" for node in sizes)


def test_an_output_that_is_erased_is_none_in_its_place() -> None:
    network, example = build("auxiliary")
    traced = trace(network, example)
    last = traced.graph.find_nodes(op="call_module", target="output_form")[0]
    last.args = (last.args[0], None)
    traced.graph.eliminate_dead_code()
    traced.recompile()

    assert traced.train()(example).auxiliary is None
    assert isinstance(traced.eval()(example), Tensor)


def test_outputs_are_named_by_the_vertices_that_feed_them() -> None:
    model, example = build("auxiliary")
    graph = trace(model, example).trace_graph

    assert [output.source for output in graph.outputs] == ["main", "extra"]
    assert "output_form" not in graph


def test_a_batch_of_one_is_enough_to_trace() -> None:
    network = trace(Residual(), torch.randn(1, 3, 8, 8)).eval()

    assert network(torch.randn(7, 3, 8, 8)).shape == (7, 5)


def test_the_package_can_be_called_whatever_was_imported_first() -> None:
    network = nasviz.trace(nn.Linear(2, 2), torch.zeros(1, 2))

    assert isinstance(network, TracedNetwork)
    assert isinstance(network, fx.GraphModule)


class _Resize(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(x, scale_factor=2)


class _Swish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x.sigmoid()


class _Parts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix, self.swish, self.grow = nn.Conv2d(3, 3, 1), _Swish(), _Resize()

    def forward(self, x: Tensor) -> Tensor:
        return self.grow(self.swish(self.mix(x)))


def test_a_module_without_parts_gives_its_only_call_its_own_name() -> None:
    network = trace(_Parts(), torch.randn(2, 3, 4, 4))
    names = [v.name for v in network.trace_graph]
    assert names == ["mix", "swish.sigmoid", "swish.mul", "grow"]
    assert network.trace_graph["grow"].scope == ("grow",)
    again = trace(network, torch.randn(2, 3, 4, 4))
    assert [v.name for v in again.trace_graph] == names
