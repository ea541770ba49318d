"""Small ONNX models made by hand, and files that mean harm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

OPSET = 20


def weight(name: str, *shape: int) -> onnx.TensorProto:
    """Numbers that are neither zero nor all the same."""
    numbers = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    return onnx.numpy_helper.from_array(numbers, name)


def whole(name: str, *numbers: int) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.array(numbers, np.int64), name)


def value(name: str, *shape: int | str | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def model(
    nodes: list[onnx.NodeProto],
    *tensors: onnx.TensorProto,
    image: tuple[int | str | None, ...] = ("n", 4, 8, 8),
    output: tuple[int | str | None, ...] = (None,) * 4,
    domains: tuple[str, ...] = (),
    functions: tuple[onnx.FunctionProto, ...] = (),
) -> onnx.ModelProto:
    """From the input `x` to the output `y`."""
    graph = helper.make_graph(nodes, "net", [value("x", *image)], [value("y", *output)], list(tensors))
    imports = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(name, 1) for name in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10, functions=list(functions))


def conv(source: str, target: str, name: str) -> onnx.NodeProto:
    return helper.make_node("Conv", [source, f"{name}.weight", f"{name}.bias"], [target], name)


def conv_tensors(name: str, outs: int, ins: int) -> tuple[onnx.TensorProto, onnx.TensorProto]:
    return weight(f"{name}.weight", outs, ins, 1, 1), weight(f"{name}.bias", outs)


def two_branches(classifier: onnx.NodeProto, *tensors: onnx.TensorProto) -> onnx.ModelProto:
    """Two convolutions, concatenated, pooled and classified by `classifier`, from `f` to `y`."""
    nodes = [
        conv("x", "a", "left"),
        conv("x", "b", "right"),
        helper.make_node("Concat", ["a", "b"], ["c"], axis=1),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        classifier,
    ]
    return model(nodes, *conv_tensors("left", 3, 4), *conv_tensors("right", 5, 4), *tensors, output=("n", 10))


def many_operators() -> onnx.ModelProto:
    """A bit of everything that has a rule of its own."""
    nodes = [
        conv("x", "a", "block.conv"),
        helper.make_node(
            "BatchNormalization", ["a", "block.bn.weight", "block.bn.bias", "mean", "var"], ["b"]
        ),
        helper.make_node("Sigmoid", ["b"], ["s"]),
        helper.make_node("Mul", ["b", "s"], ["g"]),
        helper.make_node("Split", ["g"], ["g1", "g2"], axis=1, num_outputs=2),
        helper.make_node("Add", ["g1", "g2"], ["h"]),
        helper.make_node("Shape", ["h"], ["size"]),
        helper.make_node("Gather", ["size", "zero"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["h", "target"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 1]),
        helper.make_node("LayerNormalization", ["t", "norm.weight", "norm.bias"], ["l"]),
        helper.make_node("MatMul", ["l", "table"], ["m"]),
        helper.make_node("Softmax", ["m"], ["o"]),
        helper.make_node("ReduceMean", ["o", "one"], ["q"], keepdims=0),
        helper.make_node("Identity", ["q"], ["y"]),
    ]
    tensors = [
        *conv_tensors("block.conv", 4, 4),
        *(weight(name, 4) for name in ("block.bn.weight", "block.bn.bias", "mean", "var")),
        weight("norm.weight", 2),
        weight("norm.bias", 2),
        weight("table", 2, 3),
        whole("zero", 0),
        whole("one", 1),
        whole("rest", 2, -1),
    ]
    return model(nodes, *tensors, output=("n", 3))


def written(folder: Path, content: onnx.ModelProto | bytes, name: str = "net.onnx") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return path
