"""What a vertex says of one call: operands, literals, behaviour at zero, costs and origin."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nasviz.graph.trace_graph import Vertex
from nasviz.trace import trace
from tests.trace.networks import Residual


class Function(nn.Module):
    """One function of the input, with a parameter, a buffer and a layer at hand."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function
        self.p = nn.Parameter(torch.randn(4))
        self.w = nn.Parameter(torch.randn(4, 4))
        self.register_buffer("b", torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def last_vertex(function: Callable[..., Tensor], example: Tensor | None = None) -> Vertex:
    x = torch.randn(2, 4) if example is None else example
    return trace(Function(function), x).trace_graph.vertices[-1]


def module_vertex(module: nn.Module, example: Tensor) -> Vertex:
    return trace(nn.Sequential(module), example).trace_graph.vertices[-1]


IMAGES = torch.randn(2, 4, 6, 6)
KEEPS, ANNIHILATES, CLOSES, NOTHING = "keeps", "annihilates", "closes", ""


def says(vertex: Vertex) -> set[str]:
    flags = {KEEPS: vertex.keeps_zero, ANNIHILATES: vertex.annihilates, CLOSES: vertex.closes}
    return {name for name, flag in flags.items() if flag}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.Conv2d(4, 2, 3), {ANNIHILATES, CLOSES}),
        (nn.Conv2d(4, 2, 3, bias=False), {KEEPS, ANNIHILATES, CLOSES}),
        (nn.ConvTranspose2d(4, 2, 3), {ANNIHILATES, CLOSES}),
        (nn.BatchNorm2d(4), {ANNIHILATES, CLOSES}),
        (nn.BatchNorm2d(4, affine=False), set()),
        (nn.GroupNorm(2, 4), {ANNIHILATES, CLOSES}),
        (nn.LayerNorm((4, 6, 6)), {ANNIHILATES, CLOSES}),
        (nn.LayerNorm((4, 6, 6), bias=False), {KEEPS, ANNIHILATES, CLOSES}),
        (nn.PReLU(4), {KEEPS, CLOSES}),
        (nn.Dropout(0.5), {KEEPS, CLOSES}),
        (nn.AvgPool2d(2, padding=1), {KEEPS, CLOSES}),
        (nn.MaxPool2d(2), {KEEPS, CLOSES}),
        (nn.ReLU6(), {KEEPS, CLOSES}),
        (nn.Hardtanh(1, 2), set()),
        (nn.Sigmoid(), set()),
        (nn.Softmax(1), set()),
        (nn.ZeroPad2d(1), {KEEPS, CLOSES}),
        (nn.ConstantPad2d(1, 3.0), set()),
        (nn.ReflectionPad2d(1), {KEEPS, CLOSES}),
    ],
    ids=lambda value: str(value) if isinstance(value, nn.Module) else None,
)
def test_modules_at_zero(module: nn.Module, expected: set[str]) -> None:
    vertex = module_vertex(module, IMAGES)

    assert says(vertex) == expected
    if vertex.keeps_zero:
        assert not module(torch.zeros_like(IMAGES)).any()


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda m, x: x * m.p, {KEEPS, ANNIHILATES, CLOSES}),
        (lambda m, x: x + m.p, {CLOSES}),
        (lambda m, x: x + m.b, {CLOSES}),
        (lambda m, x: x + 1, set()),
        (lambda m, x: x + 0, {KEEPS, CLOSES}),
        (lambda m, x: x * 3, {KEEPS, CLOSES}),
        (lambda m, x: x * m.b, {KEEPS, CLOSES}),
        (lambda m, x: x / 3, {KEEPS, CLOSES}),
        (lambda m, x: x / m.p, {KEEPS}),
        (lambda m, x: m.p / x, set()),
        (lambda m, x: 1 - x, set()),
        (lambda m, x: x @ m.w, {KEEPS, ANNIHILATES, CLOSES}),
        (lambda m, x: functional.linear(x, m.w), {KEEPS, ANNIHILATES, CLOSES}),
        (lambda m, x: functional.linear(x, m.w, m.b), {CLOSES}),  # with a buffer at zero
        (lambda m, x: functional.linear(x, m.w.t(), m.p * 2), {ANNIHILATES, CLOSES}),
        (lambda m, x: functional.linear(x, m.w + 1, m.p), {CLOSES}),
        (lambda m, x: torch.addmm(m.p, x, m.w), {ANNIHILATES, CLOSES}),
        (lambda m, x: x + x.relu(), {KEEPS, CLOSES}),
        (lambda m, x: x / (x + 1), set()),
        (lambda m, x: x * (x + 1), {KEEPS, CLOSES}),
        (lambda m, x: torch.cat([x, m.p.expand(2, 4)]), {CLOSES}),
        (lambda m, x: torch.cat([x, m.b.expand(2, 4)]), {CLOSES}),
        (lambda m, x: x.pow(2), {KEEPS, CLOSES}),
        (lambda m, x: x.clamp(min=1), set()),
        (lambda m, x: x.exp(), set()),
        (lambda m, x: torch.special.i0(x), set()),
        (lambda m, x: x.sort(-1)[1] * 1.0, {KEEPS, CLOSES}),
    ],
)
def test_functions_at_zero(function: Callable[..., Tensor], expected: set[str]) -> None:
    assert says(last_vertex(function)) == expected


def test_an_embedding_is_zero_with_its_table_only() -> None:
    vertex = module_vertex(nn.Embedding(5, 3), torch.tensor([[1, 2], [3, 4]]))

    assert says(vertex) == {ANNIHILATES, CLOSES}
    assert vertex.attributes == {"num_embeddings": 5, "embedding_dim": 3}


@pytest.mark.parametrize(
    ("function", "operator", "attributes"),
    [
        (lambda m, x: torch.cat([x, x], -3), "cat", {"dim": 1}),
        (lambda m, x: x.flatten(-2), "flatten", {"start_dim": 2, "end_dim": 3}),
        (lambda m, x: x.flatten(1), "flatten", {"start_dim": 1, "end_dim": 3}),
        (lambda m, x: x.view(x.shape[0], -1), "view", {"start_dim": 1, "end_dim": 3}),
        (lambda m, x: x.reshape(x.shape[0], 2, 2, 36), "reshape", {}),
        (lambda m, x: x.permute(0, -1, 1, 2), "permute", {"dims": (0, 3, 1, 2)}),
        (lambda m, x: x.mean((-2, -1)), "mean", {"dims": (2, 3), "keepdim": False}),
        (lambda m, x: x.sum(1, keepdim=True), "sum", {"dims": (1,), "keepdim": True}),
        (lambda m, x: x.amax((2, 3)), "amax", {"dims": (2, 3), "keepdim": False}),
        (lambda m, x: x - x.relu(), "sub", {"alpha": 1}),
        (lambda m, x: torch.add(x, x.relu(), alpha=0.5), "add", {"alpha": 0.5}),
        (lambda m, x: x.chunk(2, -3)[1], "getitem", {"index": 1}),
        (lambda m, x: x.transpose(-1, 1), "transpose", {"dim0": 3, "dim1": 1}),
    ],
)
def test_literals_count_axes_from_the_front(
    function: Callable[..., Tensor], operator: str, attributes: dict[str, object]
) -> None:
    vertex = last_vertex(function, IMAGES)

    assert vertex.operator == operator
    assert {key: vertex.attributes[key] for key in attributes} == attributes
    if not attributes:
        assert not vertex.attributes


def test_a_convolution_says_what_slicing_needs() -> None:
    vertex = module_vertex(nn.Conv2d(4, 8, (3, 1), stride=2, padding=(1, 0), groups=2), IMAGES)

    assert vertex.attributes == {
        "in_channels": 4,
        "out_channels": 8,
        "groups": 2,
        "kernel_size": (3, 1),
        "stride": (2, 2),
        "padding": (1, 0),
        "dilation": (1, 1),
        "transposed": False,
    }
    assert vertex.parameters == ("0.weight", "0.bias")
    assert vertex.macs == 8 * 3 * 3 * 2 * 3 * 1


def test_a_transposed_convolution_has_its_channels_the_other_way_round() -> None:
    vertex = module_vertex(nn.ConvTranspose2d(4, 6, 2, stride=2, bias=False, groups=2), IMAGES)

    assert (vertex.attributes["in_channels"], vertex.attributes["out_channels"]) == (4, 6)
    assert vertex.attributes["transposed"] is True
    assert vertex.macs == 4 * 6 * 6 * 3 * 2 * 2


def test_multiplications_are_counted_for_one_example() -> None:
    assert last_vertex(lambda m, x: functional.linear(x, m.w), torch.randn(5, 3, 4)).macs == 3 * 4 * 4
    assert last_vertex(lambda m, x: x @ m.w, torch.randn(5, 4)).macs == 16
    windows = last_vertex(lambda m, x: functional.linear(x.view(-1, 4), m.w), torch.randn(5, 3, 4))
    assert (windows.macs, windows.shape) == (3 * 4 * 4, (-1, 4))


def test_a_weight_that_is_computed_is_marked() -> None:
    computed = last_vertex(lambda m, x: functional.linear(x, m.w / m.w.norm()))
    plain = last_vertex(lambda m, x: functional.linear(x, m.w))

    assert computed.attributes["computed_weight"] is True
    assert computed.parameters == ("w",)
    assert "computed_weight" not in plain.attributes


def test_a_tensor_that_only_lends_its_shape_is_no_operand() -> None:
    function = Function(lambda m, x: m.p.expand_as(x.relu()) * x.sum(1, keepdim=True).expand_as(x))
    network = trace(function, torch.randn(2, 4))
    operators = [vertex.operator for vertex in network.trace_graph]

    assert "relu" not in operators
    assert all(len(vertex.inputs) == 1 for vertex in network.trace_graph)


def test_what_is_read_twice_stands_twice() -> None:
    assert last_vertex(lambda m, x: x + x).inputs == ("x", "x")


def test_lists_of_tensors_are_vertices() -> None:
    graph = trace(Function(lambda m, x: x.chunk(2, 1)[0]), torch.randn(2, 4)).trace_graph

    assert [(v.operator, v.shape) for v in graph] == [("chunk", (-1, 4)), ("getitem", (-1, 2))]
    assert graph.vertices[0].attributes["dim"] == 1


def test_constants_are_folded_into_buffers_that_are_not_saved() -> None:
    network = trace(Function(lambda m, x: x + torch.arange(4.0).view(1, 4) * 2), torch.randn(2, 4))

    assert [vertex.operator for vertex in network.trace_graph] == ["add"]
    assert network.trace_graph.vertices[0].buffers == ("constant_0",)
    assert "constant_0" not in network.state_dict()
    torch.testing.assert_close(network.constant_0, torch.tensor([[0.0, 2.0, 4.0, 6.0]]))


def test_names_scopes_and_lines_are_the_users() -> None:
    graph = trace(Residual(), torch.randn(2, 3, 8, 8)).trace_graph

    assert [v.name for v in graph][:5] == [
        "stem",
        "blocks.0.conv",
        "blocks.0.norm",
        "blocks.0.add",
        "blocks.0.act",
    ]
    assert graph["blocks_0_add"].scope == ("blocks", "blocks.0")
    assert graph["blocks_0_act"].scope == ("blocks", "blocks.0")
    assert graph["blocks_0_add"].source.startswith("networks.py:")
    assert graph.modules["blocks.0.norm"] == "BatchNorm2d"
    assert graph.modules["blocks.1"] == "Block"


def test_demonet_has_the_published_counts() -> None:
    from nasviz.models.demonet import DemoNet

    graph = trace(DemoNet(), torch.randn(1, 1, 28, 28)).trace_graph

    assert (graph.num_parameters, graph.macs) == (817_010, 208_871_584)
    assert [v.name for v in graph if v.is_joint] == ["add", "cat", "add_1"]
