"""Weights are read as tensors only, and a file that does not fit changes nothing."""

import argparse
import io
import json
import os
import pickle
import struct
import sys
import types
import zipfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nasviz.catalog import NetworkSource
from nasviz.errors import InvalidSettingError, WeightsError
from nasviz.models import build, load_weights

SOURCE = NetworkSource("demonet", settings={"width": 0.1})


@pytest.fixture
def trained() -> nn.Module:
    return build(SOURCE, seed=1)[0]


@pytest.fixture
def fresh() -> nn.Module:
    return build(SOURCE, seed=2)[0]


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


State = dict[str, torch.Tensor]


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


def half(state: State) -> State:
    """Weights that differ from those of the state."""
    return {name: value * 0.5 for name, value in state.items()}


def compiled_inside(state: State) -> State:
    return {name.replace("bn1.", "bn1._orig_mod."): value for name, value in state.items()}


def averaged(state: State) -> State:
    return {"n_averaged": torch.tensor(3)} | prefixed("module.", state)


def sharded(state: State, folder: Path, outside: str = "") -> Path:
    names = list(state)
    save_file({name: state[name] for name in names[::2]}, folder / "one.safetensors")
    save_file({name: state[name] for name in names[1::2]}, folder / "two.safetensors")
    files = {name: ("one", "two")[n % 2] + ".safetensors" for n, name in enumerate(names)}
    files |= {names[0]: outside} if outside else {}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    return folder / "model.safetensors.index.json"


def distributed(state: State, folder: Path) -> Path:
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / ".metadata").write_bytes(pickle.dumps(state))
    return folder / "checkpoint"


def scripted(state: State, folder: Path) -> Path:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), folder / "program.pt")
    return folder / "program.pt"


def exported(state: State, folder: Path) -> Path:
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),)), folder / "program.pt2")
    return folder / "program.pt2"


def trained_and_averaged(one: str, other: str, *, averaged_is: str) -> Callable[[State], dict[str, State]]:
    """Return a checkpoint of both, of which the test wants the one under `averaged_is`."""
    return lambda state: {key: state if key == averaged_is else half(state) for key in (one, other)}


def head(state: State) -> State:
    return {name: value for name, value in state.items() if name.startswith("linear9.")}


def other_classes(state: State) -> State:
    return state | {name: torch.zeros(7, *value.shape[1:]) for name, value in head(state).items()}


def dict_of_clones(state: State) -> State:
    return {name: value.clone() for name, value in state.items()}


def nested() -> dict[str, dict[str, dict[str, int]]]:
    """Return a million mappings that take a few bytes each."""
    inner: dict[str, dict[str, int]] = {str(number): {} for number in range(2000)}
    return {str(number): inner for number in range(2000)}


class Form(NamedTuple):
    """What `torch.save` gets, or a function that writes the file itself, and what is chosen."""

    make: Callable[..., Any]
    file: str = "w.pt"
    ema: bool = False
    skip_head: bool = False
    refused: str = ""


NAMESPACE = argparse.Namespace(lr=0.1, out=PurePosixPath("runs"), names=["a"])
NUMPY = {
    "best": np.float64(0.9),
    "seen": np.int64(3),
    "curve": np.arange(3),
    "random": ("MT19937", np.zeros(4, np.uint32), np.bool_(True)),
}
FORMS = {
    "state dict": Form(dict),
    "without zip": Form(dict, "w.pth"),
    "bin": Form(dict, "w.bin"),
    "safetensors": Form(save_file, "w.safetensors"),
    "safetensors without suffix": Form(save_file, "w"),
    "no suffix": Form(dict, "w"),
    "timm": Form(trained_and_averaged("state_dict", "state_dict_ema", averaged_is="state_dict"), "w.pth.tar"),
    "timm, averaged": Form(
        trained_and_averaged("state_dict", "state_dict_ema", averaged_is="state_dict_ema"),
        "w.pth.tar",
        ema=True,
    ),
    "half precision": Form(lambda s: {name: value.half() for name, value in s.items()}),
    "state_dict": Form(lambda s: {"state_dict": s, "epoch": 3, "optimizer": {"state": {0: {"m": s}}}}),
    "model_state_dict": Form(lambda s: {"model_state_dict": s}),
    "net": Form(lambda s: {"net": s, "acc": 0.9}),
    "params": Form(trained_and_averaged("params", "params_ema", averaged_is="params")),
    "two levels": Form(lambda s: {"model": {"state_dict": s}}),
    "DataParallel": Form(lambda s: prefixed("module.", s)),
    "torch.compile": Form(lambda s: prefixed("_orig_mod.", s)),
    "DDP, a part compiled": Form(lambda s: prefixed("module.", compiled_inside(s))),
    "Lightning": Form(
        lambda s: {
            "state_dict": prefixed("model.", s) | {"criterion.weight": torch.ones(4)},
            "hyper_parameters": {"args": NAMESPACE},
        },
        "w.ckpt",
    ),
    "Lightning, compiled": Form(lambda s: {"state_dict": prefixed("net._orig_mod.", s)}, "w.ckpt"),
    "Lightning, averaged": Form(
        lambda s: {"state_dict": prefixed("model.", s), "current_model_state": prefixed("model.", half(s))},
        "w.ckpt",
        ema=True,
    ),
    "AveragedModel": Form(averaged),
    "torchvision's references": Form(lambda s: {"model": half(s), "model_ema": averaged(s)}, ema=True),
    "student and teacher": Form(lambda s: prefixed("student.", s) | prefixed("teacher.", half(s))),
    "no counters": Form(lambda s: {n: v for n, v in s.items() if "num_batches" not in n}),
    "Namespace": Form(lambda s: {"model": s, "args": NAMESPACE}),
    "NumPy": Form(lambda s: {"model": s} | NUMPY),
    "shards": Form(lambda s, path: sharded(s, path), ""),
    "folder of shards": Form(lambda s, path: sharded(s, path).parent, ""),
    "other classes": Form(other_classes, skip_head=True),
    "no head": Form(lambda s: {n: v for n, v in s.items() if n not in head(s)}, skip_head=True),
    "other classes, all": Form(other_classes, refused="--skip-head"),
    "whole module": Form(lambda s: build(SOURCE, seed=1)[0], refused="DemoNet"),
    "TorchScript": Form(scripted, "", refused="TorchScript"),
    "torch.export": Form(exported, "", refused="torch.export"),
    "torch.distributed": Form(distributed, "", refused="pickle"),
    "shard elsewhere": Form(lambda s, path: sharded(s, path, "../w"), "", refused="not a file beside it"),
    "an alias": Form(lambda s: {"state_dict": prefixed("net.", s) | prefixed("compiled._orig_mod.", s)}),
    "an equal copy": Form(lambda s: prefixed("net.", s) | prefixed("ema_net.", dict_of_clones(s))),
    "defaultdict": Form(lambda s: {"model": s, "log": defaultdict(list, loss=[1.0], kinds=[float, dict])}),
    "momentum of another network": Form(
        lambda s: {"model": other_classes(s), "momentum": s}, refused="of those under model"
    ),
    "wrapped twice": Form(
        lambda s: prefixed("module.", half(s)) | s, refused=r"both module\.(\S+) and \1; save the one"
    ),
    "int8": Form(lambda s: s | {"conv1.weight": s["conv1.weight"].to(torch.int8)}, refused="torch.int8"),
    "complex": Form(lambda s: s | {"conv1.bias": s["conv1.bias"] + 0j}, refused="complex"),
    "sparse": Form(
        lambda s: s | {"linear9.weight": s["linear9.weight"].to_sparse()},
        refused=r"linear9\.weight is sparse",
    ),
    "meta": Form(lambda s: s | {"linear9.weight": s["linear9.weight"].to("meta")}, refused="without data"),
    "a name more": Form(lambda s: s | {"more.weight": torch.ones(2)}, refused="Check the network's name"),
    "many mappings": Form(lambda s: {"model": s, "log": nested()}, refused="too many mappings"),
    "two networks": Form(
        lambda s: prefixed("one.", s) | prefixed("two.", half(s)), refused="several .*one and two"
    ),
    "unknown weight": Form(
        lambda s: prefixed("model.", s | {"more.weight": torch.ones(2)}),
        refused=r"without the prefix model\.; all names start with model\..*more\.weight unexpected",
    ),
    "no average": Form(lambda s: {"state_dict": s}, ema=True, refused="no averaged weights"),
}


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.parametrize("name", FORMS)
def test_a_form_of_weights_loads_or_is_refused_with_the_reason(
    name: str, trained: nn.Module, fresh: nn.Module, tmp_path: Path
) -> None:
    form, state = FORMS[name], trained.state_dict()
    path = tmp_path / form.file
    if form.make is save_file:
        save_file(state, path)
    elif form.file:
        torch.save(form.make(state), path, _use_new_zipfile_serialization=name != "without zip")
    else:
        path = form.make(state, tmp_path)
    before = {key: value.clone() for key, value in fresh.state_dict().items()}
    if form.refused:
        with pytest.raises(WeightsError, match=form.refused):
            load_weights(fresh, path, ema=form.ema, skip_head=form.skip_head)
        assert all(torch.equal(before[key], value) for key, value in fresh.state_dict().items())
        return
    kept = load_weights(fresh, path, ema=form.ema, skip_head=form.skip_head)
    assert set(kept) == (set(head(state)) if form.skip_head else set())
    for key, value in fresh.state_dict().items():
        expected = state[key].half().to(value.dtype) if name == "half precision" else state[key]
        assert torch.equal(value, before[key] if key in kept else expected), key


def test_a_source_loads_its_weights(trained: nn.Module, tmp_path: Path) -> None:
    torch.save({"model": half(trained.state_dict()), "ema": trained.state_dict()}, tmp_path / "w.pt")
    source = NetworkSource("demonet", weights=str(tmp_path / "w.pt"), settings={"width": 0.1}, ema=True)
    assert NetworkSource.from_json(source.to_json()) == source
    assert same(build(source)[0], trained)


def test_differences_are_named_briefly_and_nothing_changes(
    trained: nn.Module, fresh: nn.Module, tmp_path: Path
) -> None:
    state = trained.state_dict()
    state["linear9.weight"] = torch.zeros(3, 3)
    del state["conv1.bias"]
    state |= {f"extra{number}\n\x1b[31m": torch.zeros(1) for number in range(9)}
    path = tmp_path / "other.safetensors"
    save_file(state, path)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(fresh, path)
    message = str(caught.value)
    assert "conv1.bias missing" in message
    assert "linear9.weight (3, 3) for (10, 14) of another shape" in message
    assert "and 6 more unexpected" in message
    assert "\n" not in message
    assert "\x1b" not in message
    assert all(torch.equal(before[name], value) for name, value in fresh.state_dict().items())


def test_shared_tensors_may_stand_under_one_name(tmp_path: Path) -> None:
    def tied() -> nn.Module:
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        model[1].weight = model[0].weight
        return model

    one, other = tied(), tied()
    state = {name: value for name, value in one.state_dict().items() if name != "1.weight"}
    save_file(state, tmp_path / "tied.safetensors")
    load_weights(other, tmp_path / "tied.safetensors")
    assert same(one, other)


def test_values_of_one_tensor_that_differ_are_refused(tmp_path: Path) -> None:
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    torch.save(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)).state_dict(), tmp_path / "untied.pt")
    before = tied[0].weight.clone()
    with pytest.raises(WeightsError, match=r"0\.weight and 1\.weight are one tensor"):
        load_weights(tied, tmp_path / "untied.pt")
    assert torch.equal(tied[0].weight, before)


class HeadFirst(nn.Module):
    """The head is registered first, and its weight may be shared."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.head = nn.Linear(4, num_classes)
        self.body = nn.Linear(4, 4)


@pytest.mark.parametrize("num_classes", [3, 5])
def test_a_head_is_found_by_the_number_of_classes(num_classes: int, tmp_path: Path) -> None:
    one, other = HeadFirst(), HeadFirst(num_classes)
    torch.save(one.state_dict(), tmp_path / "w.pt")
    kept = load_weights(other, tmp_path / "w.pt", skip_head=True, num_classes=num_classes)
    assert kept == ("head.weight", "head.bias")
    assert torch.equal(one.body.weight, other.body.weight)


def test_a_head_that_shares_an_embedding_is_loaded(tmp_path: Path) -> None:
    def tied() -> nn.Module:
        model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.Linear(4, 5, bias=False))
        model[2].weight = model[0].weight
        return model

    one, other = tied(), tied()
    torch.save(one.state_dict(), tmp_path / "w.pt")
    assert not any(n.startswith(("0", "2")) for n in load_weights(other, tmp_path / "w.pt", skip_head=True))
    assert torch.equal(one[0].weight, other[0].weight)


def test_hyper_parameters_of_lightning_may_stand_beside_the_weights(
    trained: nn.Module, fresh: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("lightning.fabric.utilities.data")
    module.AttributeDict = type("AttributeDict", (dict,), {"__module__": module.__name__})  # as Lightning's
    parts = module.__name__.split(".")
    for depth in range(1, len(parts)):
        name = ".".join(parts[:depth])
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    content = {"state_dict": trained.state_dict(), "hyper_parameters": module.AttributeDict(lr=0.1, depth=2)}
    torch.save(content, tmp_path / "w.ckpt")
    load_weights(fresh, tmp_path / "w.ckpt")
    assert same(trained, fresh)


@pytest.mark.parametrize("content", ["[" * 100_000, "[1]", "{", "{}", '{"weight_map": {}}', "\xff"])
def test_an_index_that_names_no_shard_is_refused(content: str, fresh: nn.Module, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(content, "latin-1")
    with pytest.raises(WeightsError, match=r"index\.json"):
        load_weights(fresh, tmp_path)


def test_shards_are_limited_together(
    trained: nn.Module, fresh: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = sharded(trained.state_dict(), tmp_path)
    largest = max(file.stat().st_size for file in tmp_path.iterdir())
    monkeypatch.setattr("nasviz.catalog.weights.LARGEST_WEIGHTS", largest)
    with pytest.raises(WeightsError, match="at most"):
        load_weights(fresh, index)


def test_the_head_that_is_kept_is_told(
    trained: nn.Module, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save(trained.state_dict(), tmp_path / "w.pt")
    build(NetworkSource("demonet", None, 7, str(tmp_path / "w.pt"), settings={"width": 0.1}, skip_head=True))
    assert "linear9.weight, linear9.bias" in caplog.text


@pytest.mark.parametrize("choice", ["ema", "skip_head"])
def test_choices_for_a_file_are_refused_for_published_weights(choice: str) -> None:
    with pytest.raises(InvalidSettingError, match="leave them out"):
        NetworkSource("torchvision:resnet18:DEFAULT", **{choice: True})


class Hostile:
    def __reduce__(self) -> object:
        return os.mkdir, ("code_of_the_file_ran",)


def archive(compression: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("archive/data.pkl", b"\0" * 1_000_000)
    return buffer.getvalue()


FILES = {
    "absent.pt": (None, "no file of weights"),
    "empty.pt": (b"", "cannot be read as tensors only"),
    "text.pt": (b"not a file of weights", "cannot be read as tensors only"),
    "bomb.pt": (archive(zipfile.ZIP_DEFLATED), "rejected unopened"),
    "strange.pt": (archive(zipfile.ZIP_STORED), "cannot be read as tensors only"),
    "cut.pt": (archive(zipfile.ZIP_STORED)[:-30], "cannot be read as tensors only"),
    "program.pt2": (b"PK", "cannot be read as tensors only"),
    "empty.safetensors": (b"", "no safetensors file"),
    "header.safetensors": (struct.pack("<Q", 2**60) + b"{}", "no safetensors file"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_holds_no_weights_is_refused(name: str, fresh: nn.Module, tmp_path: Path) -> None:
    content, word = FILES[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=word):
        load_weights(fresh, tmp_path / name)


def test_code_in_a_file_is_not_run(fresh: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save({"conv1.weight": Hostile()}, tmp_path / "hostile.pt")
    with pytest.raises(WeightsError, match="cannot be read as tensors only"):
        load_weights(fresh, tmp_path / "hostile.pt")
    assert not (tmp_path / "code_of_the_file_ran").exists()


@pytest.mark.parametrize("content", [{}, [1, 2], {"a": 1}, torch.zeros(3), {1: torch.zeros(1)}])
def test_a_file_of_something_else_is_refused(content: object, fresh: nn.Module, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="holds no state dict"):
        load_weights(fresh, tmp_path / "other.pt")
