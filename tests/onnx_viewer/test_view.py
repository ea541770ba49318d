"""An ONNX file shows the network that it was exported from; each rule on the smallest file that needs it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn
from torchvision.models import resnet18

import nasviz
from nasviz.graph import SearchSpace, TraceGraph, search_space
from nasviz.models.demonet import DemoNet
from nasviz.onnx_viewer.view import read_onnx, view_onnx
from tests.onnx_viewer.models import (
    conv,
    conv_tensors,
    many_operators,
    model,
    two_branches,
    value,
    weight,
    whole,
    written,
)


def read(folder: Path, content: onnx.ModelProto) -> TraceGraph:
    return read_onnx(written(folder, content))


def operators(trace: TraceGraph) -> list[str]:
    return [vertex.operator for vertex in trace]


def exported(network: nn.Module, image: torch.Tensor, path: Path, *, is_batch_open: bool) -> Path:
    """The network as torch writes it today, with norms as after training."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean):
                tensor.normal_(generator=generator)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    shapes = ({0: torch.export.Dim("batch")},) if is_batch_open else None
    torch.onnx.export(network.eval(), (image,), dynamo=True, dynamic_shapes=shapes, verbose=False).save(path)
    return path


@pytest.fixture(scope="module", params=["demonet", "resnet18"])
def pair(request, tmp_path_factory) -> tuple[SearchSpace, SearchSpace, nn.Module]:
    """The same network by its ONNX file and as torch traces it."""
    if request.param == "demonet":
        network, image = DemoNet(width=0.25), torch.zeros(2, 1, 8, 8)
    else:
        network, image = resnet18(num_classes=10), torch.zeros(2, 3, 32, 32)
    traced = nasviz.trace(network, image)
    path = exported(
        network, image, tmp_path_factory.mktemp("onnx") / "net.onnx", is_batch_open=request.param != "demonet"
    )
    return search_space(read_onnx(path)), search_space(traced), network


def test_a_file_has_the_removal_structures_of_the_network_it_came_from(pair) -> None:
    seen, traced, _ = pair
    expected = {"DemoNet": (6, 4), "ResNet": (11, 8)}[traced.trace.name]
    assert (len(seen.removable), seen.max_sparsity) == expected
    assert (len(traced.removable), traced.max_sparsity) == expected


def test_a_file_has_the_sizes_of_the_network_it_came_from_but_for_its_folded_norms(pair) -> None:
    seen, traced, network = pair
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    folded = sum(2 * norm.num_features for norm in norms)
    # A convolution without a bias gets the norm's shift as one.
    biases = sum(norm.num_features for norm in norms) if traced.trace.name == "ResNet" else 0
    assert seen.trace.num_parameters == traced.trace.num_parameters - folded + biases
    assert seen.trace.macs == traced.trace.macs
    assert seen.trace.inputs[0].shape == traced.trace.inputs[0].shape
    assert seen.trace["conv1"].shape == traced.trace["conv1"].shape


def test_erasing_saves_in_a_file_what_it_saves_in_the_network_it_came_from(pair) -> None:
    def saved(space: SearchSpace) -> list[int]:
        return sorted(space.plan([s.id]).macs_after for s in space.removable if space.is_valid([s.id]))

    seen, traced, _ = pair
    assert saved(seen) == saved(traced)


def test_names_and_modules_are_those_of_the_network(pair) -> None:
    seen, traced, _ = pair
    assert {v.name for v in seen.trace if v.role == "stem"} == {
        v.name for v in traced.trace if v.role == "stem"
    }
    if traced.trace.name == "ResNet":
        assert seen.trace["layer1_0_relu"].scope == ("layer1", "layer1.0")
        assert seen.trace.modules["layer1.0"] == "BasicBlock"


@pytest.mark.parametrize("is_output_first", [True, False])
def test_columns_are_cut_from_the_axis_of_the_weight_that_holds_them(tmp_path, is_output_first) -> None:
    gemm = helper.make_node("Gemm", ["f", "fc", "bias"], ["y"], transB=int(is_output_first))
    table = weight("fc", 10, 8) if is_output_first else weight("fc", 8, 10)
    space = search_space(read(tmp_path, two_branches(gemm, table, weight("bias", 10))))
    left = next(s for s in space.removable if "left" in s.name)
    plan = space.plan([left.id])
    (cut,) = (s for s in plan.slices if s.tensor == "fc")
    assert (cut.dim, cut.rows) == (1 if is_output_first else 0, (0, 1, 2))
    assert plan.fills == ()
    assert plan.params_before - plan.params_after == 3 * 4 + 3 + 3 * 10


@pytest.mark.parametrize("name", ["MatMul", "Transpose"])
def test_a_matrix_product_with_a_weight_is_a_linear_map(tmp_path, name) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    tensor = weight("w", 6, 9)
    if name == "Transpose":
        nodes = [helper.make_node("Transpose", ["v"], ["w"], perm=[1, 0]), *nodes]
        tensor = weight("v", 9, 6)
    (vertex,) = read(tmp_path, model(nodes, tensor, image=("n", 5, 6), output=("n", 5, 9)))
    assert vertex.operator == "linear"
    assert vertex.attributes == {"in_features": 6, "out_features": 9, "transposed": name == "MatMul"}
    assert (vertex.macs, vertex.annihilates, vertex.keeps_zero) == (5 * 6 * 9, True, True)


def test_a_product_of_two_values_is_a_joint(tmp_path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Tanh", ["x"], ["b"]),
        helper.make_node("MatMul", ["a", "b"], ["y"]),
    ]
    assert read(tmp_path, model(nodes))["matmul"].role == "multiplicative"


def test_a_bit_of_everything(tmp_path) -> None:
    trace = read(tmp_path, many_operators())
    assert (
        operators(trace)
        == (
            "conv2d batch_norm silu split getitem getitem add reshape permute layer_norm linear softmax mean"
        ).split()
    )
    norm = trace["block_bn"]
    assert norm.parameters == ("block.bn.weight", "block.bn.bias")
    assert norm.buffers == ("mean", "var")
    assert (norm.keeps_zero, norm.annihilates, norm.closes) == (False, True, True)
    assert trace["block_conv"].scope == ("block",)
    assert [v.shape for v in trace][-6:] == [
        (-1, 2, 64),
        (-1, 64, 2),
        (-1, 64, 2),
        (-1, 64, 3),
        (-1, 64, 3),
        (-1, 3),
    ]
    assert trace["split"].attributes == {"dim": 1, "split_size": 2}
    assert trace.outputs[0].source == "mean"
    assert TraceGraph.from_json(json.loads(json.dumps(trace.to_json()))) == trace


def test_what_does_not_depend_on_the_input_is_no_vertex(tmp_path) -> None:
    nodes = [
        helper.make_node("Constant", [], ["c"], value=weight("", 4, 1, 1)),
        helper.make_node("Neg", ["c"], ["d"]),
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("ConstantOfShape", ["s"], ["zeros"]),
        helper.make_node("Add", ["x", "d"], ["e"]),
        helper.make_node("Add", ["e", "zeros"], ["y"]),
    ]
    trace = read(tmp_path, model(nodes))
    assert [(v.operator, v.inputs, v.parameters) for v in trace] == [
        ("add", ("x",), ()),
        ("add", ("add",), ()),
    ]
    assert not trace["add"].keeps_zero


@pytest.mark.parametrize(("low", "high", "keeps"), [(0.0, 6.0, True), (-1.0, 1.0, True), (1.0, 6.0, False)])
def test_clip_is_zero_at_zero_where_its_bounds_let_it(tmp_path, low, high, keeps) -> None:
    bounds = [onnx.numpy_helper.from_array(np.float32(b), n) for b, n in ((low, "low"), (high, "high"))]
    nodes = [helper.make_node("Clip", ["x", "low", "high"], ["y"])]
    (vertex,) = read(tmp_path, model(nodes, *bounds))
    assert (vertex.operator, vertex.keeps_zero) == ("clamp", keeps)
    assert vertex.attributes == {"min": low, "max": high}


def test_an_operator_of_another_domain_is_not_taken_for_a_standard_one(tmp_path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], domain="Com.Evil"),
        helper.make_node("Mean", ["a", "x"], ["y"]),
    ]
    trace = read(tmp_path, model(nodes, domains=("Com.Evil",)))
    assert operators(trace) == ["com.evil.relu", "onnx.mean"]
    assert [v.role for v in trace] == ["unknown", "unknown"]
    assert not any(v.keeps_zero or v.annihilates or v.closes for v in trace)


def test_a_sum_whose_sizes_are_not_known_loses_no_operand(tmp_path) -> None:
    nodes = [
        helper.make_node("Mystery", ["x"], ["a"], domain="other"),
        helper.make_node("Mystery", ["x"], ["b"], domain="other"),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    assert operators(read(tmp_path, model(nodes, domains=("other",))))[-1] == "onnx.add"


def test_a_graph_inside_a_node_reads_what_it_captures(tmp_path) -> None:
    def branch(name: str, source: str) -> onnx.GraphProto:
        node = helper.make_node("Mul", [source, "scale"], [name])
        return helper.make_graph([node], name, [], [value(name, None, 4, 8, 8)])

    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["flag"], to=TensorProto.BOOL),
        helper.make_node("If", ["flag"], ["y"], then_branch=branch("p", "a"), else_branch=branch("q", "x")),
    ]
    choice = read(tmp_path, model(nodes, weight("scale", 4, 1, 1)))["if"]
    assert set(choice.inputs) == {"to", "relu", "x"}
    assert choice.parameters == ("scale",)
    assert choice.role == "unknown"


def test_a_table_that_is_looked_up_is_an_embedding(tmp_path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "i"], ["y"]),
    ]
    vertex = read(tmp_path, model(nodes, weight("table", 50, 7), image=("n", 5), output=("n", 5, 7)))[
        "embedding"
    ]
    assert vertex.attributes == {"num_embeddings": 50, "embedding_dim": 7}
    assert (vertex.keeps_zero, vertex.annihilates) == (False, True)


def test_vectors_that_an_exporter_stored_once_are_told_apart_but_true_sharing_stays(tmp_path) -> None:
    def twin(bias: np.ndarray) -> TraceGraph:
        shift = onnx.numpy_helper.from_array(bias.astype(np.float32), "bias")
        nodes = [
            helper.make_node("Conv", ["x", "one", "bias"], ["a"]),
            helper.make_node("Conv", ["a", "two", "bias"], ["y"]),
        ]
        return read(tmp_path, model(nodes, weight("one", 4, 4, 1, 1), weight("two", 4, 4, 1, 1), shift))

    assert [v.parameters[1] for v in twin(np.zeros(4))] == ["bias", "bias_1"]
    assert [v.parameters[1] for v in twin(np.arange(4))] == ["bias", "bias"]


def test_modules_follow_from_the_names_of_nodes(tmp_path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "onnx::Conv_7"], ["a"], "/features/features.0/conv/Conv"),
        helper.make_node("Relu", ["a"], ["b"], "/features/features.0/act/Relu"),
        helper.make_node("Relu", ["b"], ["c"], "/features/features.0/Relu"),
        helper.make_node("Tanh", ["c"], ["y"], "/features/features.0/Tanh"),
    ]
    trace = read(tmp_path, model(nodes, weight("onnx::Conv_7", 4, 4, 1, 1)))
    assert [v.name for v in trace] == [
        "features.0.conv",
        "features.0.act",
        "features.0.relu",
        "features.0.tanh",
    ]
    assert {v.scope for v in trace} == {("features", "features.0")}
    assert trace["features_0_conv"].module == "features.0.conv"


def test_open_sizes_are_settled_and_told(tmp_path) -> None:
    path = written(tmp_path, model([helper.make_node("Relu", ["x"], ["y"])], image=("n", 3, "h", None)))
    view = view_onnx(path)
    assert view.trace_graph.inputs[0].shape == (-1, 3, 224, 224)
    assert view.notes == (
        "axis 2 of x is open and shown as 224",
        "axis 3 of x is open and shown as 224",
    )
    assert (view.opset, view.trace_graph.name) == (20, "net (ONNX opset 20)")


def test_functions_of_the_file_are_opened(tmp_path) -> None:
    imports = [helper.make_opsetid("", 20)]
    twice = helper.make_function(
        "own",
        "Twice",
        ["a"],
        ["c"],
        [helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Tanh", ["b"], ["c"])],
        imports,
    )
    nodes = [helper.make_node("Twice", ["x"], ["y"], domain="own")]
    assert operators(read(tmp_path, model(nodes, domains=("own",), functions=(twice,)))) == ["relu", "tanh"]


def test_two_branches_with_a_reshape_that_is_worked_out_can_lose_one(tmp_path) -> None:
    nodes = [
        conv("x", "a", "left"),
        conv("x", "b", "right"),
        helper.make_node("Shape", ["a"], ["s"]),
        helper.make_node("Gather", ["s", "one"], ["c"]),
        helper.make_node("Div", ["c", "two"], ["half"]),
        helper.make_node("Concat", ["minus", "half", "two", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["a", "target"], ["r"]),
        helper.make_node("Reshape", ["b", "target"], ["q"]),
        helper.make_node("Add", ["r", "q"], ["y"]),
    ]
    numbers = [whole("one", 1), whole("two", 2), whole("minus", -1), whole("rest", 64)]
    trace = read(tmp_path, model(nodes, *conv_tensors("left", 6, 4), *conv_tensors("right", 6, 4), *numbers))
    assert trace["add"].shape == (-1, 3, 2, 64)
    assert search_space(trace).max_sparsity == 1
