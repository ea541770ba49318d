"""Files that are damaged or mean harm are refused with one sentence, and reach for nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper

from nasviz.errors import OnnxError
from nasviz.graph import search_space
from nasviz.onnx_viewer.files import Limits
from nasviz.onnx_viewer.names import plain
from nasviz.onnx_viewer.view import read_onnx
from tests.onnx_viewer.models import conv, conv_tensors, many_operators, model, value, weight, whole, written

RELU = [helper.make_node("Relu", ["x"], ["y"])]


def outside(folder: Path) -> onnx.ModelProto:
    """A weight that lies in another file."""
    net = model([conv("x", "y", "c")], *conv_tensors("c", 4, 4))
    tensor = net.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location="../canary")
    tensor.ClearField("raw_data")
    return net


def outside_in_an_attribute(folder: Path) -> onnx.ModelProto:
    net = model([helper.make_node("Constant", [], ["c"], value=weight("w", 4, 1, 1)), *RELU])
    tensor = net.graph.node[0].attribute[0].t
    tensor.external_data.add(key="location", value=str(folder / "canary"))
    return net


def lying_weight(folder: Path) -> onnx.ModelProto:
    net = model([conv("x", "y", "c")], *conv_tensors("c", 4, 4))
    net.graph.initializer[0].dims[0] = 4_000_000
    return net


def lying_output(folder: Path) -> onnx.ModelProto:
    return model(RELU, output=("n", 5, 8, 8))


def huge_axis(folder: Path) -> onnx.ModelProto:
    nodes = [helper.make_node("Expand", ["x", "s"], ["y"])]
    return model(nodes, whole("s", 1, 4, 8, 2**50), image=("n", 4, 8, 1))


def newer(folder: Path) -> onnx.ModelProto:
    net = model(RELU)
    net.ir_version = 99
    return net


def sparse(folder: Path) -> onnx.ModelProto:
    net = model(RELU)
    numbers, places = weight("w", 3), whole("", 1, 2, 3)
    net.graph.sparse_initializer.append(helper.make_sparse_tensor(numbers, places, [2**40]))
    return net


def nested(folder: Path) -> onnx.ModelProto:
    graph = helper.make_graph(RELU, "g", [], [value("y", "n", 4, 8, 8)])
    for depth in range(20):
        node = helper.make_node("If", ["f"], [f"y{depth}"], then_branch=graph, else_branch=graph)
        del node.attribute[1]
        graph = helper.make_graph([node], "g", [], [value(f"y{depth}", "n", 4, 8, 8)])
    net = model(RELU)
    net.graph.CopyFrom(graph)
    return net


def nested_past_the_parser(folder: Path) -> bytes:
    """A graph in an attribute of a node of a graph, 500 times: a parser without a limit overflows."""
    graph = b""
    for _ in range(500):
        graph = _field(1, _field(5, _field(6, graph)))
    return _field(7, graph)


def functions_that_double(folder: Path) -> onnx.ModelProto:
    return with_functions(lambda i: [f"f{i + 1}", f"f{i + 1}"])


def function_that_calls_itself(folder: Path) -> onnx.ModelProto:
    return with_functions(lambda i: [f"f{i}"])


def with_functions(calls: Callable[[int], list[str]]) -> onnx.ModelProto:
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    functions = []
    for i in range(40):
        names = calls(i) if i < 39 else []
        nodes = [helper.make_node(n, ["a"], [f"b{k}"], domain="own") for k, n in enumerate(names)]
        nodes.append(helper.make_node("Relu", ["a"], ["z"]))
        functions.append(helper.make_function("own", f"f{i}", ["a"], ["z"], nodes, imports))
    nodes = [helper.make_node("f0", ["x"], ["y"], domain="own")]
    return model(nodes, domains=("own",), functions=tuple(functions))


def too_long_a_number(folder: Path) -> onnx.ModelProto:
    net = model([helper.make_node("Clip", ["x", "low"], ["y"])], weight("low", 1))
    del net.graph.initializer[0].dims[:]
    net.graph.initializer[0].raw_data += b"\0" * 12
    return net


def packed_numbers(folder: Path) -> bytes:
    """One byte a number, eight in memory; `int64_data` of a tensor."""
    return _field(7, _field(5, _field(7, b"\x00" * (140 * 2**20))))


def no_text(folder: Path) -> bytes:
    return model(RELU).SerializeToString() + _field(2, b"\xff\xfe")


def _field(number: int, content: bytes) -> bytes:
    length, size = len(content), b""
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def constant_only(folder: Path) -> onnx.ModelProto:
    return model([helper.make_node("Constant", [], ["y"], value=weight("w", 1, 1, 1, 1))])


def undeclared(folder: Path) -> onnx.ModelProto:
    return model([helper.make_node("Relu", ["x"], ["y"], domain="evil")])


def cycle(folder: Path) -> onnx.ModelProto:
    return model([helper.make_node("Add", ["x", "z"], ["y"]), helper.make_node("Relu", ["y"], ["z"])])


HOSTILE: dict[str, tuple[Callable[[Path], onnx.ModelProto | bytes], str]] = {
    "empty": (lambda folder: b"", "is empty"),
    "garbage": (lambda folder: b"#!/bin/sh\ntouch canary\n", "no ONNX file"),
    "pickle": (lambda folder: b"\x80\x04\x95" + b"cposix\nsystem\n", "no ONNX file"),
    "zip": (lambda folder: b"PK\x03\x04" + b"\0" * 100, "is an archive"),
    "cut off": (lambda folder: many_operators().SerializeToString()[:-40], "damaged"),
    "no operators": (lambda folder: _field(2, b"me"), "no operators"),
    "newer": (newer, "IR version 99"),
    "external data": (outside, "another file"),
    "external data inside": (outside_in_an_attribute, "another file"),
    "lying weight": (lying_weight, "too small for the declared shape"),
    "lying output": (lying_output, "do not fit together"),
    "huge axis": (huge_axis, "too large to look at"),
    "sparse": (sparse, "sparse weights"),
    "nested": (nested, "nests graphs more than 13 deep"),
    "nested past the parser": (nested_past_the_parser, "damaged"),
    "functions that double": (functions_that_double, "more than 20,000 operators"),
    "function that calls itself": (function_that_calls_itself, "calls itself"),
    "too long a number": (too_long_a_number, "the tensor low of this file"),
    "packed numbers": (packed_numbers, "no operators"),
    "no text": (no_text, "a name that is no text"),
    "nothing depends on the input": (constant_only, "no output of this ONNX file depends on an input"),
    "undeclared domain": (undeclared, "not valid"),
    "cycle": (cycle, "not valid"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_one_sentence(name: str, tmp_path, monkeypatch) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    make, words = HOSTILE[name]
    path = written(inside, make(inside))
    with pytest.raises(OnnxError) as caught:
        read_onnx(path)
    message = str(caught.value)
    assert words in message
    assert message.isprintable()
    assert len(message) < 400
    assert str(tmp_path) not in message
    assert {item.name for item in tmp_path.rglob("*")} == {"inside", "net.onnx"}


def test_limits_of_size_are_kept(tmp_path) -> None:
    path = written(tmp_path, many_operators())
    with pytest.raises(OnnxError, match="larger than 0 MiB"):
        read_onnx(path, Limits(num_bytes=100))
    with pytest.raises(OnnxError, match="more than 20 items"):
        read_onnx(path, Limits(items=20))
    with pytest.raises(OnnxError, match="too deep"):
        read_onnx(path, Limits(depth=0))
    two_bytes_a_node = b"\x08\x0a" + _field(7, b"\x0a\x00" * 20_001)
    with pytest.raises(OnnxError, match="more than 20,000 operators"):
        read_onnx(written(tmp_path, two_bytes_a_node))
    with pytest.raises(OnnxError, match="more than 20,000 items"):
        read_onnx(tmp_path / "net.onnx", Limits(items=20_000))
    with pytest.raises(OnnxError, match="there is no file"):
        read_onnx(tmp_path)


BAD_NAMES = [
    "$(touch canary)",
    "'; import os; os.system('touch canary') #",
    "<img src=x onerror=alert(1)>",
    "../../canary",
    "a\x1b[31m\r\n\u202eb",
    "x" * 5000,
    "__class__.__init__",
]


def test_names_are_text_and_nothing_else(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = model(
        [
            helper.make_node("Conv", ["x", bad, f"{bad}.bias"], [f"{bad} {i}"], bad, doc_string=bad)
            for i, bad in enumerate(BAD_NAMES)
        ]
        + [helper.make_node("Sum", [f"{bad} {i}" for i, bad in enumerate(BAD_NAMES)], ["y"], "/a/../b/Add")],
        *(tensor for bad in BAD_NAMES for tensor in (weight(bad, 4, 4, 1, 1), weight(f"{bad}.bias", 4))),
    )
    net.producer_name = net.graph.name = BAD_NAMES[4]
    for node, bad in zip(net.graph.node, BAD_NAMES, strict=False):
        node.metadata_props.add(key="namespace", value=f": root/{bad}: {bad}/relu: aten.relu")
        node.metadata_props.add(
            key="pkg.torch.onnx.name_scopes", value="[__import__('os').system('touch canary')]"
        )
    trace = read_onnx(written(tmp_path, net))
    texts = [trace.name, *trace.parameter_shapes, *trace.modules, *trace.modules.values()]
    for vertex in trace:
        assert vertex.id.isascii()
        assert vertex.id.isidentifier() or vertex.id[0].isdigit()
        texts += [vertex.name, vertex.module, vertex.type_name, *vertex.scope]
    assert all(text.isprintable() and len(text) < 300 for text in texts)
    assert len(trace.parameter_shapes) == 2 * len(BAD_NAMES)
    assert len(search_space(trace).structures) == len(BAD_NAMES)
    assert [item.name for item in tmp_path.iterdir()] == ["net.onnx"]


def test_plain_text_cannot_turn_lines_or_colours() -> None:
    assert plain("a\nb\tc\x1b[2Jd\u202ee\u200bf") == "a\N{REPLACEMENT CHARACTER}b" + (
        "\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}[2Jd\N{REPLACEMENT CHARACTER}e"
        "\N{REPLACEMENT CHARACTER}f"
    )
    assert plain("x" * 500, 10) == "x" * 9 + "…"


def test_a_damaged_file_is_read_or_refused_but_never_anything_else(tmp_path) -> None:
    """The negative control: some of the damage is harmless, some is not."""
    data, source = many_operators().SerializeToString(), random.Random(0)
    ends = set()
    for _ in range(250):
        damaged = bytearray(data)
        for _ in range(source.choice([1, 1, 3])):
            damaged[source.randrange(len(data))] = source.randrange(256)
        try:
            search_space(read_onnx(written(tmp_path, bytes(damaged)))).max_sparsity  # noqa: B018
            ends.add("read")
        except OnnxError:
            ends.add("refused")
    assert ends == {"read", "refused"}


def test_shapes_that_double_stay_small(tmp_path) -> None:
    """A shape joined with itself 40 times would have a million million sizes."""
    nodes = [helper.make_node("Shape", ["x"], ["s0"])]
    nodes += [helper.make_node("Concat", [f"s{i}", f"s{i}"], [f"s{i + 1}"], axis=0) for i in range(40)]
    nodes += [helper.make_node("Expand", ["x", "s40"], ["y"])]
    with pytest.raises(OnnxError, match="too large to look at"):
        read_onnx(written(tmp_path, model(nodes)))
