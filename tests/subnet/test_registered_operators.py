"""Operators of other libraries: one declaration, and they are removed, sliced, saved and exported as any."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import nasviz
from nasviz import extensions
from nasviz.errors import ArgumentError, ExportError, GraphError, InvalidSettingError
from nasviz.graph import TraceGraph, search_space
from nasviz.graph.operators import table
from nasviz.graph.operators.table import register_operator, registered

EXAMPLES = Path(__file__).parents[2] / "examples" / "extending"


@pytest.fixture(scope="module")
def example():
    """The worked example, imported as a user's own module."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        import custom_operator

        yield custom_operator
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def made(example, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("gate")
    return example.run(folder), folder


def test_the_example_cuts_a_network_with_its_own_operator_exactly(made) -> None:
    sub, folder = made
    report = sub.report
    assert report.max_relative_error <= 1e-6
    assert report.effect > 1e-2
    assert not report.materialised
    assert [tuple(p.shape) for name, p in sub.module.named_parameters() if name.endswith("gain")] == [
        (5,),
        (6,),
    ]
    targets = [str(node.target) for node in sub.module.graph.nodes]
    assert targets.count("extending.channel_gate.default") == 2
    assert (folder / "network.onnx").exists(), "export_onnx compares it with the network"


def test_a_saved_network_names_the_operator_and_is_loaded_where_it_is_registered(made, monkeypatch) -> None:
    sub, folder = made
    x = torch.randn(3, 3, 12, 12)
    assert torch.equal(nasviz.load(folder).eval()(x), sub.module.eval()(x))
    monkeypatch.setattr(table, "_REGISTERED", {})
    with pytest.raises(GraphError, match=r"extending\.channel_gate\.default.*register_operator"):
        nasviz.load(folder)


def test_python_source_imports_what_defines_the_operator(made) -> None:
    sub, folder = made
    assert "\nimport channel_gate\n" in (folder / "model.py").read_text()
    code = "import torch, model; print(repr(model.load().eval()(torch.ones(1, 3, 12, 12)).sum().item()))"
    path = os.pathsep.join([str(folder), str(EXAMPLES), str(Path(nasviz.__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": path}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    wanted = sub.module.eval()(torch.ones(1, 3, 12, 12)).sum().item()
    assert float(run.stdout) == pytest.approx(wanted, rel=1e-6)


def test_a_trace_graph_carries_the_rule_to_where_the_operator_is_unknown(example, monkeypatch) -> None:
    net = nasviz.trace(example.network(), torch.randn(2, 3, 12, 12))
    here = search_space(net.trace_graph)
    data = net.trace_graph.to_json()
    monkeypatch.setattr(table, "_REGISTERED", {})
    monkeypatch.delitem(table.RULES, "extending::channel_gate")
    there = search_space(TraceGraph.from_json(data))
    assert there.channels.to_json() == here.channels.to_json()
    assert [s.reason for s in there.structures] == [s.reason for s in here.structures] == [None, None]
    gates = [v for v in data["vertices"] if v["declaration"]]
    assert len(gates) == 4
    gates[0]["declaration"] = '{"role": "additive"}'
    with pytest.raises(GraphError, match="rule of an operator"):
        TraceGraph.from_json(data)


@torch.library.custom_op("nasviz_tests::halve", mutates_args=())
def halve(x: Tensor) -> Tensor:
    return x / 2


halve.register_fake(torch.empty_like)
halve.register_autograd(lambda ctx, gradient: gradient / 2)


class Halved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.branch = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.last(x + halve(self.branch(x)))


def test_an_operator_without_a_rule_protects_what_it_reads_and_is_not_saved(tmp_path: Path) -> None:
    net = nasviz.trace(Halved(), torch.randn(2, 3, 4, 4))
    space = nasviz.search_space(net)
    assert not space.removable
    assert "nasviz.register_operator" in (space.structures[0].reason or "")
    assert "nasviz.register_operator" in (space.channels.why_not("branch") or "")
    with pytest.raises(ExportError, match=r"nasviz\.register_operator"):
        nasviz.save(nasviz.construct(net, space, ()), tmp_path)


def test_one_declaration_by_name_is_enough(monkeypatch) -> None:
    monkeypatch.setattr(table, "_REGISTERED", {})
    register_operator("nasviz_tests::halve", zero="x", acts_on="numbers", arguments=("x",))
    try:
        net = nasviz.trace(Halved(), torch.randn(2, 3, 4, 4))
        space = nasviz.search_space(net)
        assert [s.name.split("-")[0] for s in space.removable] == ["branch"]
        channels = tuple(space.channels.slimmable[0].groups)[:2]
        sub = nasviz.construct(net, space, (), channels=channels)
        assert sub.report.max_relative_error <= 1e-6
        assert sub.report.params_after < sub.report.params_before
    finally:
        table.RULES.pop("nasviz_tests::halve")


def test_entry_points_register_operators(tmp_path: Path, monkeypatch) -> None:
    info = tmp_path / "doubling-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: doubling\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nasviz.operators]\ndoubled = nasviz_tests_doubling\n")
    (tmp_path / "nasviz_tests_doubling.py").write_text(
        "import nasviz\n"
        "nasviz.register_operator('nasviz_tests::doubled', arguments=('x',), acts_on='numbers')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(table, "_REGISTERED", {})
    monkeypatch.setattr(extensions, "_loaded", set(extensions.GROUPS[:-1]))
    try:
        extensions.load_extensions()  # what the server does, which has no torch
        assert registered("nasviz_tests::doubled") is None
        nasviz.trace(nn.Linear(2, 2), torch.randn(2, 2))
        assert registered("nasviz_tests::doubled") is not None
    finally:
        table.RULES.pop("nasviz_tests::doubled", None)


@pytest.mark.parametrize(
    ("operator", "given", "error"),
    [
        ("aten::relu", {}, ArgumentError),
        ("swish", {}, ArgumentError),
        (3, {}, ArgumentError),
        ("nasviz_tests::bad", {"role": "additive"}, InvalidSettingError),
        ("nasviz_tests::bad", {"acts_on": "pixels"}, InvalidSettingError),
        ("nasviz_tests::bad", {"axes": "n c, c", "arguments": ("x", "w")}, InvalidSettingError),
        ("nasviz_tests::bad", {"axes": "n c, c -> n c", "arguments": ("x",)}, InvalidSettingError),
    ],
)
def test_a_rule_that_is_not_understood_is_refused(operator, given, error: type[Exception]) -> None:
    with pytest.raises(error):
        register_operator(operator, **given)
    assert registered("nasviz_tests::bad") is None
