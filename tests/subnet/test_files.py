"""What is saved loads as the same network, and a folder is data: nothing in it is run."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import nasviz
from nasviz.errors import ExportError, GraphError, NasvizError, WeightsError
from nasviz.subnet import Subnetwork
from nasviz.subnet.description import build
from nasviz.subnet.modules import build_module
from nasviz.subnet.source import source_of
from tests.laws.complex_networks import NETWORKS as COMPLEX
from tests.subnet import networks


def constructed(model: nn.Module, x: torch.Tensor) -> Subnetwork:
    net = nasviz.trace(model, x)
    space = nasviz.search_space(net)
    return nasviz.construct(net, space, [space.removable[0].id])


class Everything(nn.Module):
    """Dropped branches, shared weights, a buffer, a frozen and a free parameter, two forms of the output."""

    def __init__(self) -> None:
        from torchvision.ops import StochasticDepth

        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.a, self.b = networks.conv_norm(4, 4), networks.conv_norm(4, 4)
        self.drop, self.depth = nn.Dropout(0.3), StochasticDepth(0.4, "row")
        self.scale = nn.Parameter(torch.rand(4, 1, 1))
        self.register_buffer("shift", torch.rand(4, 1, 1), persistent=False)
        self.head = nn.Linear(4, 4)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.head.weight
        self.stem.bias.requires_grad_(False)

    def forward(self, x: torch.Tensor):
        x = self.stem(x)
        x = self.a(x) + self.depth(self.b(x)) * self.scale + self.shift
        x = self.head(self.drop(x.mean([2, 3])))
        return {"out": x, "other": (self.tied(x), None)} if self.training else x


MODELS: dict[str, Callable[[], nn.Module]] = {
    "everything": Everything,
    "filled": lambda: networks.Branches(networks.MATERIALISED_TAILS["group norm"]()),
    "auxiliary output": networks.Auxiliary,
    "moved": lambda: networks.Branches(networks.MOVING_TAILS["shuffled and halved"](), (4, 4, 4)),
}


@pytest.fixture(scope="module", params=MODELS)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    torch.manual_seed(0)
    x = torch.randn(3, 2, 8, 8)
    sub = constructed(MODELS[request.param](), x)
    return sub, nasviz.save(sub, tmp_path_factory.mktemp("saved") / "subnet"), x


def answer(net: nn.Module, x: torch.Tensor, *, train: bool) -> list[Any]:
    net = copy.deepcopy(net).train(train)  # statistics move in training
    torch.manual_seed(1)
    return torch.utils._pytree.tree_leaves(net(x))


def assert_same_answers(one: nn.Module, other: nn.Module, x: torch.Tensor) -> None:
    for train in (False, True):
        for a, b in zip(answer(one, x, train=train), answer(other, x, train=train), strict=True):
            assert a is b is None or torch.equal(a, b)


def test_a_loaded_network_answers_bit_for_bit(saved) -> None:
    sub, folder, x = saved
    loaded = nasviz.load(folder)
    assert_same_answers(sub.module, loaded, x)
    assert {n: p.requires_grad for n, p in loaded.named_parameters()} == {
        n: p.requires_grad for n, p in sub.module.named_parameters()
    }
    assert set(loaded.state_dict()) == set(sub.module.state_dict())


def test_a_loaded_network_trains(saved) -> None:
    _, folder, x = saved
    loaded = nasviz.load(folder).train()
    outputs = torch.utils._pytree.tree_leaves(loaded(x))
    sum(o.square().sum() for o in outputs if o is not None).backward()
    torch.optim.SGD(loaded.parameters(), lr=0.1).step()
    assert all(p.grad is not None for p in loaded.parameters() if p.requires_grad)


def test_a_loaded_network_is_traced_searched_and_saved_again(saved, tmp_path: Path) -> None:
    _, folder, x = saved
    loaded = nasviz.load(folder)
    again = nasviz.trace(loaded, x)
    same = nasviz.construct(again, nasviz.search_space(again), [])
    reloaded = nasviz.load(nasviz.save(same, tmp_path))
    assert_same_answers(loaded, reloaded, x)


def test_the_python_source_runs_without_nasviz(saved, tmp_path: Path) -> None:
    sub, folder, x = saved
    torch.save(x, tmp_path / "x.pt")
    script = (
        "import sys, torch; sys.path.insert(0, sys.argv[1]); import model\n"
        "network = model.load().eval(); x = torch.load(sys.argv[2], weights_only=True)\n"
        "leaves = torch.utils._pytree.tree_leaves(network(x)); torch.manual_seed(1)\n"
        "leaves += [t for t in torch.utils._pytree.tree_leaves(network.train()(x)) if t is not None]\n"
        "assert not any(name.startswith('nasviz') for name in sys.modules)\n"
        "torch.save(leaves, sys.argv[2])\n"
    )
    command = [sys.executable, "-I", "-B", "-c", script, str(folder), str(tmp_path / "x.pt")]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=120)
    got = torch.load(tmp_path / "x.pt", weights_only=True)
    wanted = answer(sub.module, x, train=False)
    wanted += [t for t in answer(sub.module, x, train=True) if t is not None]
    for w, g in zip(wanted, got, strict=True):
        torch.testing.assert_close(g, w)


def test_saving_is_deterministic_and_leaves_nothing_else(saved, tmp_path: Path) -> None:
    sub, folder, _ = saved
    nasviz.save(sub, tmp_path)
    names = {"checksums.json", "graph.json", "model.py", "report.json", "weights.safetensors"}
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in folder.iterdir()} == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_trained_weights_are_saved(tmp_path: Path) -> None:
    sub = constructed(networks.Auxiliary(), torch.randn(3, 2, 8, 8))
    with torch.no_grad():
        sub.module.head.weight.fill_(7)
    assert (nasviz.load(nasviz.save(sub, tmp_path)).head.weight == 7).all()


@pytest.mark.parametrize("name", COMPLEX)
@torch.no_grad()
def test_complex_numbers_are_kept(name: str, tmp_path: Path) -> None:
    create, feed = COMPLEX[name]
    net = nasviz.trace(create(), feed())
    space = nasviz.search_space(net)
    sub = nasviz.construct(net, space, [space.removable[0].id])
    wanted, got = sub.module.eval()(x := feed()), nasviz.load(nasviz.save(sub, tmp_path)).eval()(x)
    torch.testing.assert_close(got, wanted, rtol=0, atol=0)


def test_double_precision_is_kept(tmp_path: Path) -> None:
    x = torch.randn(3, 2, 8, 8, dtype=torch.float64)
    sub = constructed(networks.Auxiliary().double(), x)
    assert nasviz.load(nasviz.save(sub, tmp_path)).eval()(x).dtype == torch.float64


def test_what_is_not_on_the_lists_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    sub = constructed(networks.Auxiliary(), torch.randn(3, 2, 8, 8))
    node = next(n for n in sub.module.graph.nodes if n.op == "call_function")
    node.target = torch.linalg.pinv
    with pytest.raises(ExportError, match="not on the list of operators"):
        nasviz.save(sub, tmp_path / "new")
    assert not (tmp_path / "new").exists()


# Hostile folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    """Without checksums, as anybody may write one: each fault has to be found by itself."""
    folder = nasviz.save(constructed(networks.Auxiliary(), torch.randn(3, 2, 8, 8)), tmp_path)
    (folder / "checksums.json").unlink()
    return folder


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads((folder / "graph.json").read_text())
    change(data)
    (folder / "graph.json").write_text(json.dumps(data))


def first(data: dict[str, Any], op: str) -> dict[str, Any]:
    return next(node for node in data["nodes"] if node["op"] == op)


def conv(data: dict[str, Any]) -> dict[str, Any]:
    return next(module for module in data["modules"].values() if module["class"] == "Conv2d")


def rename_module(data: dict[str, Any], new: str) -> None:
    node = first(data, "call_module")
    data["modules"][new] = data["modules"].pop(node["target"])
    node["target"] = new


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "unknown format": lambda d: d.update(format="pickle"),
    "unknown operator": lambda d: first(d, "call_function").update(target="aten.from_file.default"),
    "operator that writes": lambda d: first(d, "call_function").update(target="aten.relu_.default"),
    "another library": lambda d: first(d, "call_function").update(target="os.system"),
    "operator by attribute": lambda d: first(d, "call_function").update(target="aten.cat.__class__"),
    "python function": lambda d: first(d, "call_function").update(target="operator.methodcaller"),
    "target no text": lambda d: first(d, "call_function").update(target=["aten", "cat"]),
    "call of a method": lambda d: first(d, "call_function").update(op="call_method", target="tolist"),
    "unknown class": lambda d: conv(d).update({"class": "Sequential"}),
    "class no text": lambda d: conv(d).update({"class": {}}),
    "further setting": lambda d: conv(d)["settings"].update(device="cuda"),
    "setting no number": lambda d: conv(d)["settings"].update(in_channels={"node": "x"}),
    "huge module": lambda d: conv(d)["settings"].update(in_channels=1 << 62),
    "huge kernel": lambda d: conv(d)["settings"].update(kernel_size=[1 << 20, 1 << 20]),
    "wrong width": lambda d: conv(d)["settings"].update(out_channels=5),
    "dunder node": lambda d: first(d, "call_module").update(name="__import__"),
    "code as node": lambda d: first(d, "call_module").update(name="x=__import__('os')"),
    "keyword as node": lambda d: first(d, "call_module").update(name="lambda"),
    "code as keyword": lambda d: first(d, "call_function").update(kwargs={"a=1, b": 2}),
    "code as path": lambda d: rename_module(d, 'x"), __import__("os").getcwd(), ("'),
    "dunder path": lambda d: rename_module(d, "stem.__class__"),
    "traversal as path": lambda d: rename_module(d, "../../etc/passwd"),
    "forward as path": lambda d: rename_module(d, "forward"),
    "graph as path": lambda d: rename_module(d, "graph"),
    "no such module": lambda d: first(d, "call_module").update(target="nothing.here"),
    "scope as module": lambda d: first(d, "call_module").update(target="a"),
    "no such node": lambda d: first(d, "call_module").update(args=[{"node": "nothing"}]),
    "unknown argument": lambda d: first(d, "call_module").update(args=[{"eval": "1"}]),
    "huge sizes": lambda d: first(d, "call_function").update(args=[[1 << 30, 1 << 30]]),
    "huge number": lambda d: first(d, "call_function").update(args=[1 << 80]),
    "dtype that is none": lambda d: first(d, "call_function").update(kwargs={"dtype": {"dtype": "load"}}),
    "device that is none": lambda d: first(d, "call_function").update(args=[{"device": "meta"}]),
    "node twice": lambda d: d["nodes"].insert(1, dict(d["nodes"][1])),
    "no output": lambda d: d["nodes"].pop(),
    "nodes no list": lambda d: d.update(nodes="x"),
    "tensor too many": lambda d: d["tensors"].update(
        more={"kind": "buffer", "shape": [1], "dtype": "float32"}
    ),
    "tensor too few": lambda d: d["tensors"].popitem(),
    "tensor of another shape": lambda d: next(iter(d["tensors"].values())).update(shape=[9]),
    "tensor of another kind": lambda d: next(iter(d["tensors"].values())).update(kind="buffer"),
    "alias of nothing": lambda d: d["aliases"].update({"head.weight": ["x"]}),
    "alias over another shape": lambda d: d["aliases"].update({"head.weight": "head.bias"}),
    "inputs no list": lambda d: d.update(inputs=7),
    "input without shape": lambda d: d.update(inputs=[{"id": "x"}]),
    "no description": lambda d: d.clear(),
    "name of the class": lambda d: d.update(name="Net: pass\nimport os"),
    "form no form": lambda d: next(m for m in d["modules"].values() if m["class"] == "OutputForm")[
        "settings"
    ].update(train_form={"namedtuple": ["N", ["__new__"], [{"position": 0}]]}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_description_is_refused(folder: Path, name: str) -> None:
    edit(folder, HOSTILE[name])
    with pytest.raises((GraphError, WeightsError)) as caught:
        nasviz.load(folder)
    assert len(str(caught.value)) < 500


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested data."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in items for place in places(value, (*path, key)))]


ODD = [None, -1, 1 << 62, 1 << 70, float("nan"), "", "__class__", '"', [], {}, {"node": "x"}, ["x"], "output"]


@pytest.mark.parametrize("seed", range(3))
def test_a_description_with_anything_in_any_place_is_refused_or_built(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    original = json.loads((folder / "graph.json").read_text())
    weights = load_file(folder / "weights.safetensors")
    every = places(original)[1:]
    for _ in range(200):
        data = copy.deepcopy(original)
        *path, last = rng.choice(every)
        spot = data
        for key in path:
            spot = spot[key]
        spot[last] = rng.choice(ODD)
        with contextlib.suppress(GraphError, WeightsError):
            build(data, weights)


@pytest.mark.parametrize(
    "content", [b"", b"[1, 2]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"format": NaN}'], ids=range(6)
)
def test_a_damaged_description_is_refused(folder: Path, content: bytes) -> None:
    (folder / "graph.json").write_bytes(content)
    with pytest.raises(GraphError):
        nasviz.load(folder)


def test_deep_nesting_is_refused(folder: Path) -> None:
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]
    edit(folder, lambda d: first(d, "call_function").update(args=[deep]))
    with pytest.raises(NasvizError):
        nasviz.load(folder)


def test_a_description_that_is_too_long_is_not_read(folder: Path) -> None:
    with (folder / "graph.json").open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(GraphError, match="at most"):
        nasviz.load(folder)


@pytest.mark.parametrize("content", [b"", b"\xff" * 16, b"\x08\0\0\0\0\0\0\0{}      "], ids=range(3))
def test_damaged_weights_are_refused(folder: Path, content: bytes) -> None:
    (folder / "weights.safetensors").write_bytes(content)
    with pytest.raises(WeightsError):
        nasviz.load(folder)


def test_weights_of_another_type_are_refused(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    save_file({k: v.half() if v.is_floating_point() else v for k, v in weights.items()}, folder / "w")
    (folder / "w").replace(folder / "weights.safetensors")
    with pytest.raises(WeightsError, match="float16"):
        nasviz.load(folder)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"graph\.json is missing"):
        nasviz.load(tmp_path)


def test_the_python_source_of_a_folder_is_never_run(folder: Path) -> None:
    (folder / "model.py").write_text("raise SystemExit('model.py was run')")
    nasviz.load(folder)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("ScaledDotProductAttention", {"p": "0.0 if open({!r}, 'w') else 0.0"}),
        ("BatchNormCall", {"momentum": "0.1 if open({!r}, 'w') else 0.1", "eps": 0.1}),
        ("BatchNormCall", {"momentum": 0.1, "eps": "0.1 if open({!r}, 'w') else 0.1"}),
    ],
)
def test_texts_of_a_description_do_not_become_source(
    tmp_path: Path, kind: str, settings: dict[str, Any]
) -> None:
    canary = tmp_path / "canary"
    texts = {k: v.format(str(canary)) if isinstance(v, str) else v for k, v in settings.items()}
    with pytest.raises(GraphError, match="must be a number, not str"):
        build_module({"class": kind, "settings": texts})
    # Also where such a text has come in by another way, it is written as the text that it is.
    module = build_module({"class": kind, "settings": dict.fromkeys(texts, 0.1)})
    for name, text in texts.items():
        setattr(module, name, text)
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    graph.output(graph.call_module("m", (x,) * (3 if kind.startswith("Scaled") else 5)))
    source = source_of(torch.fx.GraphModule({"m": module}, graph))
    names: dict[str, Any] = {"__name__": "written", "__file__": str(tmp_path / "model.py")}
    exec(compile(source, "model.py", "exec"), names)
    with contextlib.suppress(TypeError, RuntimeError):
        names["Network"]().eval()(torch.ones(1, 2, 2, 2))
    assert not canary.exists()
